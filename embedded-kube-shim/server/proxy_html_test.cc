#include "embedded-kube-shim/server/proxy_html.h"

#include <catch2/catch.hpp>

namespace skerry::kube {

TEST_CASE("links of a proxied page get the proxy's path before them, other text stays as it is", "[kube-proxy]") {
  const auto rewritten = [](std::string_view html) { return RewriteLinks(html, "/p"); };
  CHECK(rewritten(R"(<a href="/x">/x</a>)") == R"(<a href="/p/x">/x</a>)");
  CHECK(rewritten("<IMG SRC='/i.png' alt='/x'/>") == "<IMG SRC='/p/i.png' alt='/x'/>");
  CHECK(rewritten("<a href=/x>y") == "<a href=/p/x>y");
  CHECK(rewritten(R"(<a href="x"> <a href="//h/x"> <a href="http://h/x"> <a href="/p/x">)") == R"(<a href="x"> <a href="//h/x"> <a href="http://h/x"> <a href="/p/x">)");
  CHECK(rewritten(R"(<!-- <a href="/x"> --><b>)") == R"(<!-- <a href="/x"> --><b>)");
  CHECK(rewritten(R"(<script src="/s.js">a = '<a href="/x">';</script><link href = "/c">)") == R"(<script src="/p/s.js">a = '<a href="/x">';</script><link href = "/p/c">)");
  CHECK(rewritten("1 < 2 <br/> <a href") == "1 < 2 <br/> <a href");
  CHECK(rewritten(R"(<a href="/x)") == R"(<a href="/p/x)");
  CHECK(rewritten("<a =\"/x\" =\n>") == "<a =\"/x\" =\n>");
}

TEST_CASE("a page cut at any byte is rewritten without reading past its end", "[kube-proxy]") {
  const std::string page = R"(<!doctype html><!-- c --><a class='a' href="/x" b>t</a><style>a</style><form action=/y></form>)";
  for (std::size_t n = 0; n <= page.size(); ++n) CHECK(RewriteLinks(std::string(page, 0, n), "").size() == n);
}

}  // namespace skerry::kube
