#include "embedded-kube-shim/server/encode.h"

#include <unordered_set>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/cache/json_cursor.h"
#include "embedded-kube-shim/server/conversion.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kTypeAndVersion = 160;   // room for what an object shows beside what is stored of it

http::Response Reply(int status, std::string media_type, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.reserve(5);   // these and those of every answer
  response.headers.push_back({"Content-Type", std::move(media_type)});
  response.headers.push_back({"Cache-Control", "no-cache, private"});
  response.body = Bytes(std::move(body));
  return response;
}

// JSON text in the representation: as it is, indented, or as YAML.
std::string Render(const Output& output, std::string json) {
  if (output.encoding == Encoding::kJson && !output.pretty) {
    json += '\n';
    return json;
  }
  json::Value value;
  std::string error;
  if (!json::Value::Parse(json, &value, &error)) return json;
  if (output.encoding == Encoding::kYaml) return text::ToYaml(value);
  return PrettyJson(value);
}

void PrettyTo(std::string& out, const json::Value& value, int indent) {
  const auto line = [&](int depth) { out.append("\n").append(static_cast<std::size_t>(depth) * 2, ' '); };
  if (value.is_object() && value.size() > 0) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.Members()) {
      if (!first) out += ',';
      first = false;
      line(indent + 1);
      json::Value(key).DumpTo(out);
      out += ": ";
      PrettyTo(out, member, indent + 1);
    }
    line(indent);
    out += '}';
  } else if (value.is_array() && value.size() > 0) {
    out += '[';
    bool first = true;
    for (const auto& item : value.Items()) {
      if (!first) out += ',';
      first = false;
      line(indent + 1);
      PrettyTo(out, item, indent + 1);
    }
    line(indent);
    out += ']';
  } else {
    value.DumpTo(out);
  }
}

// Lists of custom resources always say how they go on.
enum class Continue : std::uint8_t { kWhenMore, kAlways };
void AppendListMeta(std::string& out, const ListMeta& meta, Continue how = Continue::kWhenMore) {
  if (meta.revision == 0) {   // of what is not stored
    out += "{}";
    return;
  }
  out.append("{\"resourceVersion\":\"").append(std::to_string(meta.revision)).append("\"");
  if (how == Continue::kAlways || !meta.continue_token.empty()) out.append(",\"continue\":\"").append(meta.continue_token).append("\"");
  if (meta.remaining) out.append(",\"remainingItemCount\":").append(std::to_string(*meta.remaining));
  out += '}';
}

void AppendVarint(std::string& out, std::uint64_t value) {
  while (value >= 128) {
    out += static_cast<char>(value | 128);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void AppendField(std::string& out, int number, std::string_view payload) {
  AppendVarint(out, static_cast<std::uint64_t>(number) << 3 | 2);
  AppendVarint(out, payload.size());
  out.append(payload);
}

Error ShapeError(std::string message) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 406;
  detail->reason = "NotAcceptable";
  return Error(Code::kUnsupported, std::move(message)).WithAttachment(std::move(detail));
}

}  // namespace

std::string ProtobufListMeta(const ListMeta& meta) {
  std::string out;
  AppendField(out, 1, "");
  AppendField(out, 2, meta.revision == 0 ? std::string() : std::to_string(meta.revision));
  AppendField(out, 3, meta.continue_token);
  if (meta.remaining) {
    AppendVarint(out, 4 << 3);
    AppendVarint(out, static_cast<std::uint64_t>(*meta.remaining));
  }
  return out;
}

std::string ProtobufList(std::string_view meta, const std::vector<std::string>& items) {
  std::string out;
  AppendField(out, 1, meta);
  for (const auto& item : items) AppendField(out, 2, item);
  return out;
}

std::string PrettyJson(const json::Value& value) {
  std::string out;
  PrettyTo(out, value, 0);
  return out;
}

std::shared_ptr<const json::Value> Encoder::SharedObjectOf(const Item& item, store::Revision revision) const {
  if (revision == item.modified && item.api_version() == def_->Kind(version_).api_version()) return item.Object();
  return std::make_shared<const json::Value>(ObjectOf(item, revision));
}

json::Value Encoder::ObjectOf(const Item& item, store::Revision revision) const {
  auto object = item.Object()->Clone();
  // Custom resources come converted (Ready); built-ins convert without failing.
  if (!def_->custom)
    if (auto converted = engine_.InVersion(item, *def_, version_)) object = std::move(*converted);
  if (revision != item.modified) {
    if (revision == 0) object.Set("metadata").Erase("resourceVersion");
    else object.Set("metadata").Set("resourceVersion") = std::to_string(revision);
  }
  return object;
}

void Encoder::AppendJson(std::string& out, const Item& item, store::Revision revision, TypeMeta type_meta) const {
  const auto gvk = def_->Kind(version_);
  const auto wanted = gvk.api_version();
  const bool typed = type_meta == TypeMeta::kWith || def_->custom;
  if (item.api_version() == wanted) {
    item.AppendTo(out, typed ? gvk.kind : std::string(), wanted, revision);
    return;
  }
  auto object = ObjectOf(item, revision);
  if (!typed) {
    object.Erase("kind");
    object.Erase("apiVersion");
  }
  object.DumpTo(out);
}

Result<> Encoder::CheckShape(bool list) const {
  if (output_.shape != (list ? Shape::kPartial : Shape::kPartialList)) return {};
  const auto go_type = Cat("*", def_->group.empty() ? "core" : def_->custom ? "unstructured" : def_->group.substr(0, def_->group.find('.')), ".", def_->custom ? "Unstructured" : def_->kind, list ? "List" : "");
  if (list)
    return std::unexpected(ShapeError(Cat("you requested PartialObjectMetadata, but the requested object is a list (", go_type, ")")));
  return std::unexpected(ShapeError(Cat("you requested PartialObjectMetadataList, but the requested object is not a list (", go_type, ")")));
}

Result<std::string> Encoder::ProtobufMessageOf(const Item& item, store::Revision revision) const {
  const SchemaPtr schema = def_->FindVersion(version_)->schema;
  if (item.api_version() == def_->Kind(version_).api_version()) {
    thread_local std::string text, message;   // what is kept is exactly as long as it is; growing happens where there is room already
    constexpr std::size_t kMostKept = 256 << 10;
    text.clear();
    message.clear();
    item.AppendTo(text, {}, {}, revision);
    const bool done = TranscodeProtobuf(schema, text, message);
    std::string out(message);
    if (text.capacity() + message.capacity() > kMostKept) std::string().swap(text), std::string().swap(message);
    if (done) return out;
  }
  return EncodeProtobuf(schema, *SharedObjectOf(item, revision));
}

Result<std::string> Encoder::ProtobufOf(const Item& item, store::Revision revision) const {
  if (output_.shape != Shape::kObject) {
    auto partial = json::Value::Object();
    std::string text = "{\"metadata\":";
    AppendPartial(text, item, revision);
    text += '}';
    std::string error;
    json::Value::Parse(text, &partial, &error);
    TRY(auto message, EncodeProtobuf(FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata"), partial));
    return ProtobufEnvelope("meta.k8s.io/" + output_.meta_version, "PartialObjectMetadata", message);
  }
  const auto gvk = def_->Kind(version_);
  TRY(auto message, ProtobufMessageOf(item, revision));
  return ProtobufEnvelope(gvk.api_version(), gvk.kind, message);
}

void Encoder::HideTemplateGeneration(json::Value& metadata) const {
  auto* annotations = metadata.Find("annotations");
  if (!annotations || def_->resource != "daemonsets" || def_->group != "apps") return;
  annotations->Erase("deprecated.daemonset.template.generation");
  if (annotations->size() == 0) metadata.Erase("annotations");
}

void Encoder::AppendPartial(std::string& out, const Item& item, store::Revision revision) const {
  if (def_->resource != "daemonsets" || def_->group != "apps") return item.AppendMetadata(out, revision);
  std::string text, error;
  json::Value metadata;
  item.AppendMetadata(text, revision);
  if (json::Value::Parse(text, &metadata, &error)) HideTemplateGeneration(metadata);
  metadata.DumpTo(out);
}

json::Value Encoder::RowOf(const Item& item, store::Revision revision) const {
  auto row = TableRow(*def_, *def_->FindVersion(version_), *SharedObjectOf(item, revision), include_, engine_.now());
  if (include_ == IncludeObject::kMetadata)
    if (auto* object = row.Find("object"); object && object->is_object()) HideTemplateGeneration(object->Set("metadata"));
  if (output_.meta_version != "v1" && include_ == IncludeObject::kMetadata)
    if (auto* object = row.Find("object"); object && object->is_object()) object->Set("apiVersion") = Cat("meta.k8s.io/", output_.meta_version);
  return row;
}

// Metadata without managedFields, which no printer reads and canonical form has last; empty when it is not so.
static std::string_view BeforeManagedFields(std::string_view metadata) {
  JsonCursor cursor(metadata);
  std::string member;
  bool created = false;
  if (!cursor.Enter('{')) return {};
  for (std::size_t end = cursor.offset(); cursor.NextMember(&member); end = cursor.offset()) {
    if (member == "managedFields") return created ? metadata.substr(0, end) : std::string_view();
    created = created || member == "creationTimestamp";
    cursor.Skip();
  }
  return {};
}

void Encoder::AppendRow(std::string& out, const Item& item, store::Revision revision) const {
  const bool as_stored = item.api_version() == def_->Kind(version_).api_version();
  if (def_->custom || include_ == IncludeObject::kObject || !as_stored) return RowOf(item, revision).DumpTo(out);
  // Only what a printer may look at is parsed; the metadata goes out as it is stored.
  json::ParseOptions options;
  options.skip = &UnprintedMembers(*def_);
  store::Value::Room room;
  const std::string_view text = item.View(room);
  std::string shorter;
  if (const auto metadata = BeforeManagedFields(item.MetadataOf(text)); !metadata.empty()) {
    shorter.reserve(text.size());
    item.AppendWith(shorter, metadata, "}", text);
  }
  const auto parsed = json::Parse(shorter.empty() ? text : std::string_view(shorter), options);
  if (!parsed) return RowOf(item, revision).DumpTo(out);   // what is kept as it came
  const auto row = TableRow(*def_, *def_->FindVersion(version_), *parsed, IncludeObject::kNone, engine_.now());
  out += "{\"cells\":";
  row["cells"].DumpTo(out);
  if (const auto* conditions = row.Find("conditions")) {
    out += ",\"conditions\":";
    conditions->DumpTo(out);
  }
  out += ",\"object\":";
  if (include_ == IncludeObject::kNone) {
    out += "null}";
    return;
  }
  out.append("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/").append(output_.meta_version).append("\",\"metadata\":");
  if (def_->resource == "daemonsets") AppendPartial(out, item, revision);
  else item.AppendMetadata(out, revision, text);
  out += "}}";
}

// Kinds that upstream prints by the generic converter (name and age), which leaves the rows of an empty list out.
static bool HasDefaultColumns(const ResourceDef& def) {
  return (def.group == "apiextensions.k8s.io" && def.resource == "customresourcedefinitions") || (def.group == "rbac.authorization.k8s.io" && (def.resource == "clusterroles" || def.resource == "roles")) ||
         (def.group.empty() && def.resource == "limitranges") ||
         (def.group == "storage.k8s.io" && def.resource == "csistoragecapacities");
}

std::string Encoder::TableHead(const ListMeta& meta) const {
  std::string out = Cat("{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/", output_.meta_version, "\",\"metadata\":");
  AppendListMeta(out, meta);
  out += ",\"columnDefinitions\":";
  TableColumns(*def_, *def_->FindVersion(version_)).DumpTo(out);
  return out;
}

std::string Encoder::TableOf(const std::vector<ItemPtr>& items, const ListMeta& meta) const {
  std::string out = TableHead(meta);
  if (items.empty() && HasDefaultColumns(*def_)) return out + ",\"rows\":null}";
  out += ",\"rows\":[";
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    AppendRow(out, *item, item->modified);
  }
  return out + "]}";
}

std::string Encoder::Shaped(const Item& item, store::Revision revision, Columns columns) const {
  std::string out;
  switch (output_.shape) {
    case Shape::kObject:
      out.reserve(item.size() + kTypeAndVersion);
      AppendJson(out, item, revision, TypeMeta::kWith);
      break;
    case Shape::kPartial:
    case Shape::kPartialList:
      out = Cat("{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/", output_.meta_version, "\",\"metadata\":");
      AppendPartial(out, item, revision);
      out += '}';
      break;
    case Shape::kTable: {
      const auto& version = *def_->FindVersion(version_);
      out = Cat("{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/", output_.meta_version, "\",\"metadata\":{");
      if (revision != 0) out.append("\"resourceVersion\":\"").append(std::to_string(revision)).append("\"");
      out += "},\"columnDefinitions\":";
      if (columns == Columns::kWith) TableColumns(*def_, version).DumpTo(out);
      else out += "null";
      out += ",\"rows\":[";
      AppendRow(out, item, revision);
      out += "]}";
      break;
    }
  }
  return out;
}

Result<ItemPtr> Encoder::Ready(ItemPtr item) const {
  if (!def_->custom || (item->api_version() == def_->Kind(version_).api_version() && !def_->coerces_reads)) return item;
  TRY(auto items, engine_.ItemsInVersion({std::move(item)}, *def_, version_));
  return std::move(items.front());
}

Result<http::Response> Encoder::One(int status, const ItemPtr& stored) const {
  TRY_VOID(CheckShape(false));
  TRY(const auto ready, Ready(stored));
  const Item& item = *ready;
  if (Binary()) {
    TRY(auto body, ProtobufOf(item, item.modified));
    return Reply(status, std::string(output_.media_type()), std::move(body));
  }
  return Reply(status, std::string(output_.media_type()), Render(output_, Shaped(item, item.modified, Columns::kWith)));
}

std::string Encoder::ListHead(const ListMeta& meta) const {
  std::string out = output_.shape == Shape::kPartialList
                        ? Cat("{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/", output_.meta_version, "\",\"metadata\":")
                        : Cat("{\"kind\":\"", def_->list_kind, "\",\"apiVersion\":\"", def_->Kind(version_).api_version(), "\",\"metadata\":");
  AppendListMeta(out, meta, def_->custom && output_.shape != Shape::kPartialList ? Continue::kAlways : Continue::kWhenMore);
  return out + ",\"items\":";
}

Result<http::Response> Encoder::List(const std::vector<ItemPtr>& stored, const ListMeta& meta) const {
  TRY_VOID(CheckShape(true));
  TRY(const auto items, engine_.ItemsInVersion(stored, *def_, version_));
  const auto gvk = def_->Kind(version_);
  if (Binary()) {
    std::vector<std::string> messages;
    const bool partial = output_.shape == Shape::kPartialList;
    const auto schema = partial ? FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata") : def_->FindVersion(version_)->schema;
    for (const auto& item : items) {
      TRY(auto message, partial ? EncodeProtobuf(schema, *SharedObjectOf(*item, item->modified)) : ProtobufMessageOf(*item, item->modified));
      messages.push_back(std::move(message));
    }
    auto body = ProtobufList(ProtobufListMeta(meta), messages);
    return Reply(200, std::string(output_.media_type()),
                 partial ? ProtobufEnvelope("meta.k8s.io/" + output_.meta_version, "PartialObjectMetadataList", body) : ProtobufEnvelope(gvk.api_version(), def_->list_kind, body));
  }
  if (output_.shape == Shape::kTable) return Reply(200, std::string(output_.media_type()), Render(output_, TableOf(items, meta)));
  std::size_t size = 256;
  for (const auto& item : items) size += item->size() + 64;
  std::string out;
  out.reserve(size);
  const bool partial = output_.shape == Shape::kPartialList;
  out += ListHead(meta);
  if (partial && items.empty()) return Reply(200, std::string(output_.media_type()), Render(output_, out + "null}"));
  out += '[';
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    if (partial) out += Shaped(*item, item->modified, Columns::kWithout);
    else AppendJson(out, *item, item->modified, TypeMeta::kWithout);
  }
  out += "]}";
  return Reply(200, std::string(output_.media_type()), Render(output_, std::move(out)));
}

std::string Encoder::ShapeKey() const {
  return Cat(version_, "|", static_cast<int>(output_.encoding), "|", static_cast<int>(output_.shape), "|", output_.meta_version, "|", static_cast<int>(include_), "|", def_->group);
}

std::string Encoder::watch_media_type() const {
  if (Binary()) return "application/vnd.kubernetes.protobuf;stream=watch";
  return "application/json";
}

std::string Encoder::FrameEvent(std::string_view type, std::string_view object) const {
  if (Binary()) {
    std::string raw;
    AppendField(raw, 1, object);   // RawExtension.raw
    std::string event;
    AppendField(event, 1, type);
    AppendField(event, 2, raw);
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(event.size() >> shift & 255);
    return out + event;
  }
  std::string out;
  out.reserve(object.size() + type.size() + 24);
  return out.append("{\"type\":\"").append(type).append("\",\"object\":").append(object).append("}\n");
}

std::string Encoder::Event(std::string_view type, const ItemPtr& stored, store::Revision revision, Columns columns) const {
  const auto ready = Ready(stored);
  if (!ready) return ErrorEvent(ready.error());
  const Item& item = **ready;
  if (Binary()) {
    auto message = ProtobufOf(item, revision);
    return message ? FrameEvent(type, *message) : ErrorEvent(message.error());
  }
  return FrameEvent(type, Shaped(item, revision, columns));
}

std::string Encoder::Bookmark(store::Revision revision, bool initial_events_end, Columns columns) const {
  auto object = json::Value::Object();
  const auto gvk = def_->Kind(version_);
  const bool partial = output_.shape == Shape::kPartial || output_.shape == Shape::kPartialList;
  object.Set("kind") = partial ? std::string("PartialObjectMetadata") : gvk.kind;
  object.Set("apiVersion") = partial ? "meta.k8s.io/" + output_.meta_version : gvk.api_version();
  auto& metadata = object.Set("metadata");
  metadata.Set("resourceVersion") = std::to_string(revision);
  if (initial_events_end) metadata.Set("annotations").Set("k8s.io/initial-events-end") = "true";
  if (!def_->custom && output_.shape == Shape::kObject) Canonicalize(def_->FindVersion(version_)->schema, object);
  if (Binary()) {
    const auto schema = partial ? FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata") : def_->FindVersion(version_)->schema;
    const auto message = EncodeProtobuf(schema, object);
    return message ? FrameEvent("BOOKMARK", ProtobufEnvelope(object["apiVersion"].Str(), object["kind"].Str(), *message)) : std::string();
  }
  if (output_.shape != Shape::kTable) return FrameEvent("BOOKMARK", object.Dump());
  const auto& version = *def_->FindVersion(version_);
  Canonicalize(version.schema, object);
  std::string out = Cat("{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/", output_.meta_version, "\",\"metadata\":{\"resourceVersion\":\"", revision, "\"},\"columnDefinitions\":");
  if (columns == Columns::kWith) TableColumns(*def_, version).DumpTo(out);
  else out += "null";
  out += ",\"rows\":[";
  TableRow(*def_, version, object, include_, engine_.now()).DumpTo(out);
  out += "]}";
  return FrameEvent("BOOKMARK", out);
}

std::string Encoder::ErrorEvent(const Error& error) const {
  const auto status = StatusObject(error);
  if (Binary()) {
    const auto message = EncodeProtobuf(FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.Status"), status);
    return message ? FrameEvent("ERROR", ProtobufEnvelope("v1", "Status", *message)) : std::string();
  }
  return FrameEvent("ERROR", status.Dump());
}

http::Response EncodeValue(const Output& output, int status, const json::Value& object) {
  constexpr json::DumpOptions escaped{.escape_html = true};
  if (output.encoding == Encoding::kProtobuf) {
    const std::string_view api_version = object["apiVersion"].Str(), kind = object["kind"].Str();
    const auto slash = api_version.find('/');
    const GroupVersionKind gvk{std::string(slash == std::string_view::npos ? "" : api_version.substr(0, slash)),
                               std::string(slash == std::string_view::npos ? api_version : api_version.substr(slash + 1)), std::string(kind)};
    // Discovery of the core group comes without a version of its own.
    const bool versionless = kind == "APIResourceList" && api_version.empty();
    const auto schema = versionless || kind == "Status" ? FindBuiltinSchema(Cat("io.k8s.apimachinery.pkg.apis.meta.v1.", kind)) : FindBuiltinSchema(gvk);
    if (schema) {
      if (auto message = EncodeProtobuf(schema, object)) return Reply(status, std::string(output.media_type()), ProtobufEnvelope(api_version, kind, *message));
    }
    Output json = output;
    json.encoding = Encoding::kJson;
    return Reply(status, "application/json", Render(json, object.Dump(escaped)));
  }
  return Reply(status, std::string(output.media_type()), Render(output, object.Dump(escaped)));
}

http::Response EncodeError(const http::Request& request, const Error& error) {
  const int status = HttpStatusOf(error);
  const auto output = NegotiateLenient(request);
  // Who takes nothing that there is gets indented JSON.
  auto response = status == 406 && output.encoding != Encoding::kProtobuf ? Reply(status, "application/json", PrettyJson(StatusObject(error)))
                                                                          : EncodeValue(output, status, StatusObject(error));
  if (const auto seconds = error.retry_after().count(); seconds > 0) response.headers.push_back({"Retry-After", std::to_string(seconds)});
  else if (const auto* detail = dynamic_cast<const StatusDetail*>(error.attachment()); detail && detail->retry_after_seconds > 0)
    response.headers.push_back({"Retry-After", std::to_string(detail->retry_after_seconds)});
  return response;
}

void AddWarnings(http::Headers& headers, const std::vector<std::string>& warnings) {
  constexpr std::size_t kTotal = 4096, kEach = 256;
  std::unordered_set<std::string> seen;
  std::vector<std::string> unique;
  std::size_t total = 0;
  for (const auto& warning : warnings) {
    if (!seen.insert(warning).second) continue;
    unique.push_back(warning);
    total += warning.size();
  }
  std::size_t sent = 0;
  for (auto& warning : unique) {
    if (total > kTotal && warning.size() > kEach) warning.resize(kEach);
    if (sent + warning.size() > kTotal) return;
    sent += warning.size();
    std::string quoted;
    for (const char c : warning) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    headers.push_back({"Warning", Cat("299 - \"", quoted, "\"")});
  }
}

}  // namespace skerry::kube
