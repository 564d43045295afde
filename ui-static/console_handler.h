#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "core/http/message.h"

// The console: files that the build made of this folder's sources and put into the binary. Serves "/console/…" and hands everything else,
// the console's own API under "/console/v1/" included, to the handler behind it.
namespace skerry::ui {

struct Asset {
  std::string_view path;           // below "/console/": "index.html", "assets/main-3F2A.js"
  std::string_view type;           // Content-Type
  std::string_view etag;           // of the content, without quotes
  std::string_view bytes;
  bool gzip = true;                // bytes are compressed
};
std::span<const Asset> Assets();   // sorted by path; the built-in ones

// Paths that name no file are pages of the application, which routes by itself: they get index.html. A missing file below assets/ is a 404.
// `next` outlives the handler.
std::unique_ptr<http::Handler> NewConsoleHandler(http::Handler& next, std::span<const Asset> assets = Assets());

}  // namespace skerry::ui
