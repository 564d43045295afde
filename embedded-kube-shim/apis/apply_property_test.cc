#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/typed_value.h"
#include "tests/support/generate.h"

// The algebra of server-side apply on made-up configurations of real kinds.
using namespace skerry;
using namespace skerry::kube;
using json::Value;

namespace {

struct Kind { ResourcePtr def; const Version* version; GroupVersionKind gvk; };

std::vector<Kind> Kinds() {
  static const std::unique_ptr<Registry> registry = [] {
    auto made = NewRegistry();
    RegisterBuiltins(*made);
    return made;
  }();
  std::vector<Kind> out;
  for (const ResourcePtr& def : *registry->All())
    if (!def->virtual_resource && def->kind != "CertificateSigningRequest")   // whose spec nobody owns
      for (const Version& version : def->versions) out.push_back({def, &version, def->Kind(version.name)});
  return out;
}

Value Configuration(const Kind& kind, Random& random) {
  Value out = testing::GenerateObject(kind.version->schema, kind.gvk.api_version(), kind.gvk.kind, random, {.field_percent = 20, .zeros = false});
  out.Erase("status");   // nobody owns it here
  Value& metadata = out.Set("metadata");
  metadata = Value::Object();   // most of it belongs to the server
  metadata.Set("name") = "made-up";
  for (std::uint64_t n = random.Below(3); n > 0; --n) metadata.Set("labels").Set(Cat("l", random.Below(3))) = Cat("v", random.Below(3));
  return out;
}

Value Nothing(const Kind& kind) {
  Value out = Value::Object();
  out.Set("apiVersion") = kind.gvk.api_version();
  out.Set("kind") = kind.gvk.kind;
  out.Set("metadata").Set("name") = "made-up";
  return out;
}

Result<Value> Apply(const Kind& kind, const Value* live, const Value& configuration, std::string manager, int second, Conflicts conflicts = Conflicts::kFail) {
  ManagerInfo info;
  info.manager = std::move(manager);
  info.api_version = kind.gvk.api_version();
  info.now = std::chrono::system_clock::from_time_t(1'700'000'000 + second);
  auto out = ServerSideApply(*kind.def, kind.version->schema, live, configuration, info, conflicts);
  if (out && !live) {   // as the server stores it
    out->Set("metadata").Set("uid") = "11111111-2222-3333-4444-555555555555";
    Canonicalize(kind.version->schema, *out, Empties::kKeep);
  }
  return out;
}

Value Must(Result<Value> result) {
  INFO((result ? std::string() : std::string(result.error().message())));
  REQUIRE(result);
  return *std::move(result);
}

std::string Fields(const Value& object, std::string_view manager) {
  for (const Value& entry : object.At({"metadata", "managedFields"}).Items())
    if (entry["manager"].Str() == manager) return entry["fieldsV1"].Dump();
  return "";
}

// The paths that an apply is in conflict about; nothing when it is not refused.
std::set<std::string> Quarrel(const Result<Value>& result) {
  std::set<std::string> out;
  if (result) return out;
  REQUIRE(result.error().code() == Code::kConflict);
  for (const auto& cause : result.error().causes()) out.insert(std::string(cause.field));
  REQUIRE_FALSE(out.empty());
  return out;
}

// Keyed lists and sets in one order.
void Sort(SchemaPtr schema, Value& value) {
  if (schema->type == Type::kStruct) {
    for (const Field& field : schema->fields)
      if (Value* member = value.Find(field.name); member && value.is_object()) Sort(field.type, *member);
  } else if (schema->type == Type::kMap && value.is_object()) {
    for (json::Member& m : value.MutableMembers()) Sort(schema->item, m.value);
  } else if (schema->type == Type::kList && value.is_array()) {
    for (Value& item : value.MutableItems()) Sort(schema->item, item);
    if (schema->list_kind != ListKind::kAtomic)
      std::sort(value.MutableItems().begin(), value.MutableItems().end(), [](const Value& a, const Value& b) { return a.Dump({.sort_keys = true}) < b.Dump({.sort_keys = true}); });
  }
}

// What somebody gave up may leave an empty object or list around it.
bool DropEmpty(Value& value) {
  if (value.is_object()) std::erase_if(value.MutableMembers(), [](json::Member& m) { return DropEmpty(m.value); });
  if (value.is_array()) for (Value& item : value.MutableItems()) DropEmpty(item);
  return value.is_null() || ((value.is_object() || value.is_array()) && value.size() == 0);
}

std::string Content(const Kind& kind, const Value& object) {
  Value out = object.Clone();
  out.Set("metadata").Erase("managedFields");
  Canonicalize(kind.version->schema, out);
  DropEmpty(out);
  Sort(kind.version->schema, out);
  return out.Dump({.sort_keys = true});
}

}  // namespace

TEST_CASE("applying the same twice changes nothing", "[ssa][property]") {
  SeededRandom random(31);
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 6; ++i) {
      const Value wanted = Configuration(kind, random);
      INFO(wanted.Dump());
      Value live = Must(Apply(kind, nullptr, wanted, "alice", 0));
      Value again = Must(Apply(kind, &live, wanted, "alice", 5));
      KeepManagedFieldTimes(live, again);
      REQUIRE(again.Dump() == live.Dump());
      ApplyDefaults(*kind.def, *kind.version, live);   // defaults belong to nobody and stay
      again = Must(Apply(kind, &live, wanted, "alice", 9));
      ApplyDefaults(*kind.def, *kind.version, again);
      KeepManagedFieldTimes(live, again);
      REQUIRE(Content(kind, again) == Content(kind, live));
      REQUIRE(Fields(again, "alice") == Fields(live, "alice"));
    }
  }
}

TEST_CASE("two appliers are in conflict about the same fields, whoever comes first", "[ssa][property]") {
  SeededRandom random(32);
  std::size_t quarrels = 0, agreements = 0;
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 6; ++i) {
      const Value one = Configuration(kind, random), other = Configuration(kind, random);
      INFO(one.Dump() << " and " << other.Dump());
      const Value first = Must(Apply(kind, nullptr, one, "alice", 0)), second = Must(Apply(kind, nullptr, other, "bob", 0));
      const auto there = Quarrel(Apply(kind, &first, other, "bob", 1)), back = Quarrel(Apply(kind, &second, one, "alice", 1));
      REQUIRE(there == back);
      (there.empty() ? agreements : quarrels) += 1;
      if (!there.empty()) continue;
      REQUIRE(Content(kind, Must(Apply(kind, &first, other, "bob", 1))) == Content(kind, Must(Apply(kind, &second, one, "alice", 1))));
    }
  }
  CHECK(quarrels > 10);
  CHECK(agreements > 10);
}

TEST_CASE("force takes ownership, and who applies nothing more leaves what others want", "[ssa][property]") {
  SeededRandom random(33);
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 6; ++i) {
      const Value one = Configuration(kind, random), other = Configuration(kind, random);
      INFO(one.Dump() << " and " << other.Dump());
      const Value first = Must(Apply(kind, nullptr, one, "alice", 0));
      const Value alone = Must(Apply(kind, nullptr, other, "bob", 0));
      const Value forced = Must(Apply(kind, &first, other, "bob", 1, Conflicts::kForce));
      REQUIRE(Fields(forced, "bob") == Fields(alone, "bob"));   // all that bob wants is bob's
      REQUIRE(Quarrel(Apply(kind, &forced, other, "bob", 2)).empty());
      const Value left = Must(Apply(kind, &forced, Nothing(kind), "alice", 3));
      REQUIRE(Fields(left, "alice").empty());
      REQUIRE(Content(kind, left) == Content(kind, alone));
      const Value empty = Must(Apply(kind, &left, Nothing(kind), "bob", 4));
      REQUIRE(Content(kind, empty) == Content(kind, Must(Apply(kind, nullptr, Nothing(kind), "bob", 0))));
    }
  }
}

TEST_CASE("an update that changes nothing leaves every owner where it is", "[ssa][property]") {
  SeededRandom random(34);
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 3; ++i) {
      const Value live = Must(Apply(kind, nullptr, Configuration(kind, random), "alice", 0));
      Value same = live.Clone();
      ManagerInfo info;
      info.manager = "carol";
      info.api_version = kind.gvk.api_version();
      info.now = std::chrono::system_clock::from_time_t(1'700'000'060);
      UpdateManagedFields(*kind.def, kind.version->schema, &live, same, info);
      KeepManagedFieldTimes(live, same);
      INFO(live.Dump());
      REQUIRE(same.Dump() == live.Dump());
    }
  }
}

TEST_CASE("what a configuration sets is recognized beside stored fields exactly when its set is theirs", "[ssa][property]") {
  SeededRandom random(35);
  FieldSet without;
  for (const char* name : {"apiVersion", "kind", "metadata"}) without.Insert(FieldPath{FieldStep(name)});
  without.Insert(FieldPath{FieldStep("metadata"), FieldStep("name")});
  std::size_t alike = 0, different = 0;
  for (const Kind& kind : Kinds()) {
    const SchemaPtr schema = kind.version->schema;
    for (int i = 0; i < 6; ++i) {
      const Value one = Configuration(kind, random), other = Configuration(kind, random);
      if (!ValidateTyped(schema, one, Duplicates::kRefuse).empty() || !ValidateTyped(schema, other, Duplicates::kRefuse).empty()) continue;
      INFO(one.Dump() << " and " << other.Dump());
      const FieldSet set = FieldsOf(schema, one).Difference(without), second = FieldsOf(schema, other).Difference(without);
      REQUIRE(SetsExactly(schema, one, without, set.ToJson()));
      REQUIRE(SetsExactly(schema, other, without, set.ToJson()) == (set == second));
      (set == second ? alike : different) += 1;
      // One field more or less, wherever it is.
      std::vector<FieldPath> paths;
      set.ForEach([&](const FieldPath& path) { paths.push_back(path); });
      if (paths.empty()) continue;
      const FieldPath& path = paths[random.Below(paths.size())];
      FieldSet single;
      single.Insert(path);
      const FieldSet fewer = set.Difference(single);
      REQUIRE(SetsExactly(schema, one, without, fewer.ToJson()) == (fewer == set));
      FieldPath deeper = path;
      deeper.push_back(FieldStep("more"));
      FieldSet more = set;
      more.Insert(deeper);
      REQUIRE_FALSE(SetsExactly(schema, one, without, more.ToJson()));
    }
  }
  CHECK(different > 100);
  CHECK(alike > 0);
}

TEST_CASE("what is applied to a stored object becomes what it becomes of a copy", "[ssa][property]") {
  SeededRandom random(36);
  for (const Kind& kind : Kinds()) {
    for (int i = 0; i < 4; ++i) {
      const Value one = Configuration(kind, random), other = Configuration(kind, random);
      INFO(one.Dump() << " and " << other.Dump());
      Value live = Must(Apply(kind, nullptr, one, "alice", 0));
      ApplyDefaults(*kind.def, *kind.version, live);
      live = Must(Apply(kind, &live, other, "bob", 1, Conflicts::kForce));
      ApplyDefaults(*kind.def, *kind.version, live);
      Value stored = live.Clone();
      json::Freeze(stored);
      const std::string before = stored.Dump();
      Value changed = other.Clone();
      changed.Set("metadata").Set("labels").Set("turn") = "next";
      for (const Value* configuration : {&one, &other, &std::as_const(changed)}) {
        for (const char* manager : {"alice", "bob", "carol"}) {
          const Value of_copy = Must(Apply(kind, &live, *configuration, manager, 2, Conflicts::kForce));
          const Value of_stored = Must(Apply(kind, &stored, *configuration, manager, 2, Conflicts::kForce));
          REQUIRE(of_stored.Dump() == of_copy.Dump());
          REQUIRE(stored.Dump() == before);
        }
      }
    }
  }
}
