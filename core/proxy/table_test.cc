#include <catch2/catch.hpp>

#include "core/proxy/table.h"
#include "core/proxy/upstream.h"

using namespace skerry;
using namespace skerry::proxy;

namespace {
Route To(std::string host, std::string path, std::string name, PathMatch match = PathMatch::kPrefix) {
  Route r;
  r.host = std::move(host);
  r.path = std::move(path);
  r.path_match = match;
  r.name = std::move(name);
  return r;
}
}  // namespace

TEST_CASE("routes are found by host, then by the most specific path") {
  const Table table({To("A.example.com", "/", "root"), To("a.example.com", "/shop", "shop"), To("a.example.com", "/shop", "late"), To("a.example.com", "/shop/cart/", "cart"),
                     To("a.example.com", "/exact", "exact", PathMatch::kExact), To("*.example.com", "/", "wild"), To("", "/", "any"), To("b.example.com", "/only", "only")},
                    nullptr);
  const auto find = [&](std::string_view host, std::string_view target) {
    const Route* r = table.Find(host, target);
    return r == nullptr ? std::string("none") : r->name;
  };
  CHECK(find("a.example.com", "/") == "root");
  CHECK(find("a.EXAMPLE.com:8080", "/x?y=/shop") == "root");
  CHECK(find("a.example.com.", "/shop") == "shop");
  CHECK(find("a.example.com", "/shop?x") == "shop");
  CHECK(find("a.example.com", "/shop/a") == "shop");
  CHECK(find("a.example.com", "/shopping") == "root");
  CHECK(find("a.example.com", "/shop/cart") == "cart");
  CHECK(find("a.example.com", "/exact") == "exact");
  CHECK(find("a.example.com", "/exact/x") == "root");
  CHECK(find("c.example.com", "/") == "wild");
  CHECK(find("d.c.example.com", "/") == "any");
  CHECK(find("b.example.com", "/other") == "wild");
  CHECK(find("[::1]:80", "/") == "any");
  CHECK(find("", "/") == "any");
  CHECK(Table({To("x", "/a", "a")}, nullptr).Find("x", "/") == nullptr);
}

TEST_CASE("backends take turns, refused ones come last, weights share between pools") {
  net::Shards shards(1);
  Upstreams up(shards.at(0));
  Target t;
  const std::vector<WeightedPool> one = {{"p", 1}};
  CHECK_FALSE(up.Pick(one, t));
  up.SetPool("p", {{{"a"}, {"b"}, {"c"}}, nullptr, ""});
  std::map<std::string, int> seen;
  for (int i = 0; i < 9; ++i) {
    REQUIRE(up.Pick(one, t));
    ++seen[t.address];
  }
  CHECK(seen == std::map<std::string, int>{{"a", 3}, {"b", 3}, {"c", 3}});
  up.MarkDown("b");
  seen.clear();
  for (int i = 0; i < 8; ++i) {
    REQUIRE(up.Pick(one, t));
    ++seen[t.address];
  }
  CHECK(seen.count("b") == 0);
  up.SetPool("p", {{{"b"}}, nullptr, ""});
  CHECK(up.Pick(one, t));   // better a refused one than none
  up.SetPool("q", {{{"z"}}, nullptr, ""});
  const std::vector<WeightedPool> shared = {{"p", 3}, {"q", 1}, {"missing", 5}};
  seen.clear();
  for (int i = 0; i < 40; ++i) {
    REQUIRE(up.Pick(shared, t));
    ++seen[t.address];
  }
  CHECK(seen == std::map<std::string, int>{{"b", 30}, {"z", 10}});
  REQUIRE(up.PickByHash(one, 77, t));
  const std::string first = t.address;
  REQUIRE(up.PickByHash(one, 77, t));
  CHECK(t.address == first);
}
