#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/message.h"
#include "embedded-kube-shim/api/table.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/server/engine.h"
#include "embedded-kube-shim/server/negotiate.h"

// Answers from stored bytes, in the representation that was asked for.
namespace skerry::kube {

struct ListMeta {
  store::Revision revision = 0;
  std::string continue_token;
  std::optional<std::int64_t> remaining;
};

class Encoder {
 public:
  Encoder(const Engine& engine, ResourcePtr def, std::string version, Output output, IncludeObject include)
      : engine_(engine), def_(std::move(def)), version_(std::move(version)), output_(std::move(output)), include_(include) {}

  Result<http::Response> One(int status, const ItemPtr& item) const;
  Result<http::Response> List(const std::vector<ItemPtr>& items, const ListMeta& meta) const;
  // The same as a reply. A long one is made while it is sent, so that it never stands in memory; `kGzip`: packed, if that is worth it.
  enum class Packing : std::uint8_t { kNone, kGzip };
  Result<http::Reply> ListReply(std::vector<ItemPtr> stored, const ListMeta& meta, Packing packing) const;
  // 406 when the shape asked for does not fit one object or a list.
  Result<> CheckShape(bool list) const;

  // One watch event with its framing: `type` ADDED, MODIFIED, DELETED; `revision` is what the object shows. The first Table event carries
  // the column definitions.
  enum class Columns : std::uint8_t { kWith, kWithout };
  std::string Event(std::string_view type, const ItemPtr& item, store::Revision revision, Columns columns) const;
  std::string Bookmark(store::Revision revision, bool initial_events_end, Columns columns) const;
  std::string ErrorEvent(const Error& error) const;
  // What events of equal shape may share.
  std::string ShapeKey() const;
  const Output& output() const { return output_; }
  std::string watch_media_type() const;

  // The item as JSON in the requested version. Items of built-in lists carry no kind and apiVersion.
  enum class TypeMeta : std::uint8_t { kWith, kWithout };
  void AppendJson(std::string& out, const Item& item, store::Revision revision, TypeMeta type_meta) const;

 private:
  // Custom resources have no protobuf form, their metadata has.
  bool Binary() const { return output_.encoding == Encoding::kProtobuf && (!def_->custom || output_.shape != Shape::kObject); }
  Result<ItemPtr> Ready(ItemPtr item) const;   // a custom resource in the version and form to show
  json::Value ObjectOf(const Item& item, store::Revision revision) const;
  std::shared_ptr<const json::Value> SharedObjectOf(const Item& item, store::Revision revision) const;   // not copied when it is as stored
  std::string ListHead(const ListMeta& meta) const;                                        // JSON up to the first item
  void AppendRow(std::string& out, const Item& item, store::Revision revision) const;      // of a Table
  Result<std::shared_ptr<const std::string>> MessageOf(const ItemPtr& item) const;         // protobuf, kept for the next list
  std::string Shaped(const Item& item, store::Revision revision, Columns columns) const;   // JSON
  Result<std::string> ProtobufOf(const Item& item, store::Revision revision) const;        // enveloped
  Result<std::string> ProtobufMessageOf(const Item& item, store::Revision revision) const;
  // The annotation that stands for a daemon set's template generation belongs to whole objects only.
  void HideTemplateGeneration(json::Value& metadata) const;
  void AppendPartial(std::string& out, const Item& item, store::Revision revision) const;
  json::Value RowOf(const Item& item, store::Revision revision) const;                     // of a Table
  std::string TableHead(const ListMeta& meta) const;                                       // JSON up to the rows
  std::string TableOf(const std::vector<ItemPtr>& items, const ListMeta& meta) const;
  std::string FrameEvent(std::string_view type, std::string_view object) const;

  const Engine& engine_;
  const ResourcePtr def_;
  const std::string version_;
  const Output output_;
  const IncludeObject include_;
};

// Any object (Status, reviews, Scale) in the encoding asked for; shapes do not apply.
http::Response EncodeValue(const Output& output, int status, const json::Value& object);
http::Response EncodeError(const http::Request& request, const Error& error);
std::string PrettyJson(const json::Value& value);   // two spaces
void AddWarnings(http::Headers& headers, const std::vector<std::string>& warnings);
std::string ProtobufListMeta(const ListMeta& meta);
// Protobuf list: ListMeta is field 1, items are field 2.
std::string ProtobufList(std::string_view meta, const std::vector<std::string>& items);

}  // namespace skerry::kube
