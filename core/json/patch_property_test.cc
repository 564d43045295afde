#include <catch2/catch.hpp>

#include "core/json/patch.h"
#include "tests/support/generate.h"

using namespace skerry;
using namespace skerry::json;
using skerry::testing::GenerateJson;

namespace {

void AppendOperation(Value& patch, std::string_view op, const Pointer& path, const Value* value = nullptr) {
  Value one = Value::Object();
  one.Set("op") = op;
  one.Set("path") = PointerText(path);
  if (value) one.Set("value") = value->Clone();
  patch.Append(std::move(one));
}

// The operations that lead from one document to another, by removing, adding and replacing.
void Difference(const Value& from, const Value& to, Pointer& at, Value& patch) {
  if (from == to) return;
  if (from.is_object() && to.is_object()) {
    for (const Member& m : from.Members()) {
      at.push_back(m.key);
      if (const Value* other = to.Find(m.key)) Difference(m.value, *other, at, patch);
      else AppendOperation(patch, "remove", at);
      at.pop_back();
    }
    for (const Member& m : to.Members()) {
      if (from.Find(m.key)) continue;
      at.push_back(m.key);
      AppendOperation(patch, "add", at, &m.value);
      at.pop_back();
    }
    return;
  }
  if (from.is_array() && to.is_array()) {
    const std::size_t both = std::min(from.size(), to.size());
    for (std::size_t i = 0; i < both; ++i) {
      at.push_back(std::to_string(i));
      Difference(from.Items()[i], to.Items()[i], at, patch);
      at.pop_back();
    }
    for (std::size_t i = from.size(); i > both; --i) {
      at.push_back(std::to_string(i - 1));
      AppendOperation(patch, "remove", at);
      at.pop_back();
    }
    for (std::size_t i = both; i < to.size(); ++i) {
      at.push_back("-");
      AppendOperation(patch, "add", at, &to.Items()[i]);
      at.pop_back();
    }
    return;
  }
  AppendOperation(patch, "replace", at, &to);
}

// A pointer to a place that is there.
Pointer Place(const Value& document, Random& random) {
  Pointer out;
  for (const Value* at = &document; at->size() > 0 && random.Below(4) != 0;) {
    const std::size_t i = random.Below(at->size());
    out.push_back(at->is_array() ? std::to_string(i) : at->Members()[i].key);
    at = at->is_array() ? &at->Items()[i] : &at->Members()[i].value;
  }
  return out;
}

Value Single(std::string_view op, const Pointer& path, const Value* value, const Pointer* from = nullptr) {
  Value patch = Value::Array();
  AppendOperation(patch, op, path, value);
  if (from) patch.MutableItems()[0].Set("from") = PointerText(*from);
  return patch;
}

Result<Value> Apply(const Value& document, const Value& patch) {
  const auto parsed = ParsePatch(patch.Dump());
  REQUIRE(parsed);
  return ApplyPatch(document.Clone(), *parsed);
}

bool HasNull(const Value& value) {
  if (value.is_null()) return true;
  for (const Value& item : value.Items()) if (HasNull(item)) return true;
  for (const Member& m : value.Members()) if (HasNull(m.value)) return true;
  return false;
}

}  // namespace

TEST_CASE("a JSON patch made from the difference of two generated documents leads from one to the other", "[patch][property]") {
  SeededRandom random(11);
  for (int i = 0; i < 2000; ++i) {
    Value from = Value::Object(), to = Value::Object(), patch = Value::Array();
    from.Set("document") = GenerateJson(random, 5);
    to.Set("document") = GenerateJson(random, 5);
    Pointer at;
    Difference(from, to, at, patch);
    INFO(from.Dump() << " -> " << to.Dump() << " by " << patch.Dump());
    const auto out = Apply(from, patch);
    REQUIRE(out);
    REQUIRE(*out == to);
  }
}

TEST_CASE("what a JSON patch puts somewhere is there, and what it takes back is gone", "[patch][property]") {
  SeededRandom random(12);
  for (int i = 0; i < 2000; ++i) {
    const Value document = GenerateJson(random, 5), value = GenerateJson(random, 2);
    const Pointer place = Place(document, random);
    if (place.empty()) continue;
    INFO(document.Dump() << " at " << PointerText(place));
    const Value* found = Resolve(document, place);
    REQUIRE(found);
    REQUIRE(*Apply(document, Single("test", place, found)) == document);
    REQUIRE(*Apply(document, Single("replace", place, found)) == document);
    const auto replaced = Apply(document, Single("replace", place, &value));
    REQUIRE(replaced);
    REQUIRE(*Resolve(*replaced, place) == value);
    REQUIRE(*Apply(*replaced, Single("replace", place, found)) == document);
    if (*found == value) continue;
    REQUIRE_FALSE(Apply(document, Single("test", place, &value)));
    const auto without = Apply(document, Single("remove", place, nullptr));
    REQUIRE(without);
    const auto again = Apply(*without, Single("add", place, found));
    REQUIRE(again);
    REQUIRE(*again == document);
    REQUIRE(*Apply(document, Single("move", place, nullptr, &place)) == document);
  }
}

TEST_CASE("a merge patch is idempotent, and the one made from two generated documents leads from one to the other", "[patch][property]") {
  SeededRandom random(13);
  int led = 0;
  for (int i = 0; i < 3000; ++i) {
    const Value from = GenerateJson(random, 5), to = GenerateJson(random, 5), patch = GenerateJson(random, 5);
    INFO(from.Dump() << " with " << patch.Dump() << " or to " << to.Dump());
    const Value once = MergePatch(from.Clone(), patch);
    REQUIRE(MergePatch(once.Clone(), patch) == once);
    REQUIRE(MergePatch(from.Clone(), Value::Object()) == (from.is_object() ? from.Clone() : Value::Object()));
    if (!from.is_object() || !to.is_object() || HasNull(to)) continue;
    ++led;
    REQUIRE(MergePatch(from.Clone(), CreateMergePatch(from, to)) == to);
    REQUIRE(CreateMergePatch(to, to) == Value::Object());
  }
  CHECK(led > 100);
}
