#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "tests/support/generate.h"
#include "tests/support/offline_write.h"

// What holds for every object of every built-in kind, shown on objects that are made up from fixed seeds.
using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Generate;
using skerry::testing::GenerateObject;

namespace {

struct Kind { ResourcePtr def; const Version* version; GroupVersionKind gvk; };

const std::vector<Kind>& Kinds() {
  static const std::unique_ptr<Registry> registry = [] {
    auto made = NewRegistry();
    RegisterBuiltins(*made);
    return made;
  }();
  static const std::vector<Kind> kinds = [] {
    std::vector<Kind> out;
    for (const ResourcePtr& def : *registry->All())
      for (const Version& version : def->versions) out.push_back({def, &version, def->Kind(version.name)});
    return out;
  }();
  return kinds;
}

std::string Sorted(const Value& value) { return value.Dump({.sort_keys = true}); }

Value Read(const Kind& kind, Encoding encoding, std::string_view body) {
  auto decoded = DecodeBody(kind.gvk, kind.version->schema, encoding, body);
  INFO((decoded ? std::string() : std::string(decoded.error().message())));
  REQUIRE(decoded);
  REQUIRE(decoded->strict_errors == std::vector<std::string>{});
  Canonicalize(kind.version->schema, decoded->object);
  return std::move(decoded->object);
}

}  // namespace

TEST_CASE("a generated object of every kind is the same after JSON, YAML and protobuf", "[codec][property]") {
  REQUIRE(Kinds().size() > 60);
  SeededRandom random(21);
  std::size_t bytes = 0;
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 12; ++i) {
      const Value object = GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random, {.protobuf = true});
      INFO(object.Dump());
      const std::string canonical = Read(kind, Encoding::kJson, object.Dump()).Dump();
      INFO(canonical);
      REQUIRE(Read(kind, Encoding::kJson, canonical).Dump() == canonical);
      const Value parsed = Read(kind, Encoding::kJson, canonical);
      REQUIRE(Sorted(Read(kind, Encoding::kYaml, text::ToYaml(parsed))) == Sorted(parsed));   // what has no type is sorted by name in YAML
      const auto message = EncodeProtobuf(kind.version->schema, parsed);
      REQUIRE(message);
      const std::string body = ProtobufEnvelope(kind.gvk.api_version(), kind.gvk.kind, *message);
      const Value back = Read(kind, Encoding::kProtobuf, body);
      REQUIRE(back.Dump() == canonical);
      REQUIRE(*EncodeProtobuf(kind.version->schema, back) == *message);
      bytes += body.size();
    }
  }
  CHECK(bytes > 10'000);   // the objects are not empty
}

TEST_CASE("defaults of a generated object are filled in once", "[codec][property]") {
  SeededRandom random(22);
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 8; ++i) {
      Value object = Read(kind, Encoding::kJson, GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random).Dump());
      ApplyDefaults(*kind.def, *kind.version, object);
      const std::string once = object.Dump();
      ApplyDefaults(*kind.def, *kind.version, object);
      REQUIRE(object.Dump() == once);
    }
  }
}

TEST_CASE("whatever is sent as an object is created or refused with a reason, the same way twice", "[validation][property]") {
  const testing::OfflineWriter writer;
  SeededRandom random(23);
  std::size_t refused = 0, invalid = 0;
  for (const Kind& kind : Kinds()) {
    if (kind.def->virtual_resource) continue;
    const std::string root = kind.gvk.group.empty() ? Cat("/api/", kind.gvk.version) : Cat("/apis/", kind.gvk.api_version());
    Value step = Value::Object();
    step.Set("method") = "POST";
    step.Set("path") = Cat(root, kind.def->scope == Scope::kNamespaced ? "/namespaces/default/" : "/", kind.def->resource);
    for (int i = 0; i < 20; ++i) {
      Value object = GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random);
      for (std::uint64_t n = random.Below(5); n > 0; --n) testing::Mutate(object, random);
      step.Set("body") = std::move(object);
      INFO(step.Dump());
      const auto answer = writer.Create("property", step);
      REQUIRE(answer);
      if ((*answer)["kind"].Str() != "Status") continue;
      ++refused;
      invalid += (*answer)["code"].Int() == 422;
      REQUIRE_FALSE((*answer)["message"].Str().empty());
      REQUIRE((*answer)["code"].Int() >= 400);
      for (const Value& cause : (*answer).At({"details", "causes"}).Items()) {
        REQUIRE_FALSE(cause["reason"].Str().empty());
        REQUIRE_FALSE(cause["message"].Str().empty());
      }
      REQUIRE(*writer.Create("property", step) == *answer);
    }
  }
  CHECK(refused > 500);
  CHECK(invalid > 200);
}

TEST_CASE("an update from one generated object to any other is judged without a crash, the same way twice", "[validation][property]") {
  SeededRandom random(24);
  std::size_t found = 0;
  for (const Kind& kind : Kinds()) {
    if (kind.def->virtual_resource) continue;
    std::vector<std::string> subresources{""};
    for (const Subresource& s : kind.def->subresources) if (s.name == "status") subresources.push_back(s.name);
    for (int i = 0; i < 12; ++i) {
      Value old = Read(kind, Encoding::kJson, GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random).Dump());
      Value changed = old.Clone();
      for (std::uint64_t n = 1 + random.Below(4); n > 0; --n) testing::Mutate(changed, random);
      auto decoded = DecodeValue(kind.version->schema, std::move(changed));
      if (!decoded) continue;   // another type: never gets this far
      ApplyDefaults(*kind.def, *kind.version, old);
      ApplyDefaults(*kind.def, *kind.version, decoded->object);
      for (const std::string& subresource : subresources) {
        INFO(old.Dump() << " -> " << decoded->object.Dump() << " " << subresource);
        FieldErrors first, second;
        Validate(*kind.def, *kind.version, subresource, decoded->object, &old, first);
        Validate(*kind.def, *kind.version, subresource, decoded->object, &old, second);
        REQUIRE(InvalidObjectError(*kind.def, "x", first).message() == InvalidObjectError(*kind.def, "x", second).message());
        found += !first.empty();
      }
    }
  }
  CHECK(found > 100);
}

namespace {

// Decoded and canonical again, as after a patch; null when the result is no object of its kind.
std::optional<Value> Merge(const Kind& kind, const Value& original, const Value& patch) {
  auto merged = StrategicMerge(kind.version->schema, original, patch);
  INFO((merged ? std::string() : std::string(merged.error().message())));
  REQUIRE(merged);
  auto decoded = DecodeValue(kind.version->schema, *std::move(merged));
  REQUIRE(decoded);
  Canonicalize(kind.version->schema, decoded->object);
  return std::move(decoded->object);
}

}  // namespace

TEST_CASE("a strategic merge patch changes nothing when it is empty or applied again", "[patch][property]") {
  SeededRandom random(25);
  const testing::GenerateOptions sparse{.field_percent = 20, .zeros = false};
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 8; ++i) {
      const auto make = [&] { return Read(kind, Encoding::kJson, GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random, sparse).Dump()); };
      const Value original = make();
      const Value patch = GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random, sparse);
      INFO(original.Dump() << " with " << patch.Dump());
      REQUIRE(Sorted(*Merge(kind, original, Value::Object())) == Sorted(original));
      REQUIRE(Sorted(*Merge(kind, original, original)) == Sorted(original));
      const Value once = *Merge(kind, original, patch);
      REQUIRE(Sorted(*Merge(kind, once, patch)) == Sorted(once));
      Value replacing = patch.Clone();
      replacing.Set("$patch") = "replace";
      REQUIRE(Sorted(*Merge(kind, original, replacing)) == Sorted(Read(kind, Encoding::kJson, patch.Dump())));
    }
  }
}
