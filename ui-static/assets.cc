#include "ui-static/console_handler.h"

namespace skerry::ui {
namespace {

#ifdef SKERRY_CONSOLE
#include "ui-static/assets.inc"   // kAssets, made by build.mjs
#else
constexpr Asset kAssets[] = {
    {"index.html", "text/html; charset=utf-8", "none",
     "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No console in this build</title><h1>No console in this build</h1>"
     "<p>This skerry was built with SKERRY_CONSOLE=OFF. The API works as usual; use kubectl, or install a build with the console.</p></html>",
     false}};
#endif

}  // namespace

std::span<const Asset> Assets() { return kAssets; }

}  // namespace skerry::ui
