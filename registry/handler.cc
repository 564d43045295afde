#include <array>

#include "core/base/strings.h"
#include "core/http/url.h"
#include "core/json/value.h"
#include "registry/registry.h"

namespace skerry::registry {
namespace {

constexpr std::int64_t kManifestLimit = 4 << 20;
constexpr std::int64_t kBlobLimit = 1LL << 40;
constexpr std::size_t kPiece = 256 << 10;

http::Response Answer(int status, http::Headers headers = {}, std::string body = {}) {
  headers.push_back({"Docker-Distribution-Api-Version", "registry/2.0"});
  http::Response r;
  r.status = status;
  r.headers = std::move(headers);
  r.body = Bytes(std::move(body));
  return r;
}

http::Response JsonAnswer(int status, const json::Value& body, http::Headers headers = {}) {
  headers.push_back({"Content-Type", "application/json"});
  return Answer(status, std::move(headers), body.Dump());
}

// {"errors":[{"code":…,"message":…}]} of the specification.
http::Response Refuse(int status, std::string_view code, std::string_view message, http::Headers headers = {}) {
  json::Value body, e;
  e.Set("code") = code;
  e.Set("message") = message;
  body.Set("errors").Append(std::move(e));
  return JsonAnswer(status, body, std::move(headers));
}

http::Response FromError(const Error& e, std::string_view unknown_code, std::string_view invalid_code) {
  switch (e.code()) {
    case Code::kNotFound: return Refuse(404, unknown_code, e.message());
    case Code::kInvalid: return Refuse(400, invalid_code, e.message());
    case Code::kTooLarge: return Refuse(413, "SIZE_INVALID", e.message());
    case Code::kUnavailable: return Refuse(503, "UNAVAILABLE", e.message(), {{"Retry-After", "5"}});
    case Code::kCancelled:
    case Code::kTimeout: return Refuse(408, "BLOB_UPLOAD_INVALID", e.message());
    default: return Refuse(500, "UNKNOWN", e.message());
  }
}

// "/v2/<name>/<kind>/<rest>": the name may contain slashes and even the word of the kind, so it is cut from the right.
struct Target {
  std::string name, kind, rest;
};
std::optional<Target> ParseTarget(std::string_view path) {
  if (!path.starts_with("/v2/")) return std::nullopt;
  path.remove_prefix(4);
  for (const std::string_view kind : std::array<std::string_view, 5>{"/blobs/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"}) {
    const std::size_t at = path.rfind(kind);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = path.substr(at + kind.size());
    if (rest.find('/') != std::string_view::npos) continue;
    return Target{std::string(path.substr(0, at)), std::string(kind.substr(1, kind.size() - 2)), std::string(rest)};
  }
  if (path.ends_with("/blobs/uploads")) return Target{std::string(path.substr(0, path.size() - 14)), "blobs/uploads", ""};
  return std::nullopt;
}

class Handler final : public http::Handler {
 public:
  Handler(Storage& storage, RegistryOptions options) : storage_(storage), options_(std::move(options)) {}

  http::BodyPolicy PolicyFor(const http::Request& r) const override {
    const bool upload = r.path.find("/blobs/uploads") != std::string::npos;
    return upload && r.method != "GET" && r.method != "HEAD" ? http::BodyPolicy{http::BodyPolicy::Mode::kReader, kBlobLimit}
                                                             : http::BodyPolicy{http::BodyPolicy::Mode::kBytes, kManifestLimit};
  }

  void OnWorker(const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) override { done(Serve(ctx, *request)); }

  http::Response TooLarge(const http::Request&, std::int64_t limit) const override {
    return Refuse(413, "SIZE_INVALID", Cat("the body is larger than ", limit, " bytes"));
  }

 private:
  http::Reply Serve(const Ctx& ctx, const http::Request& r) {
    if (r.path == "/v2" || r.path == "/v2/") {
      if (auto no = Check(r, Action::kPull, "")) return std::move(*no);
      return JsonAnswer(200, json::Value::Object());
    }
    if (r.path == "/v2/_catalog") return Catalog(r);
    const auto target = ParseTarget(r.path);
    if (!target) return Refuse(404, "NAME_UNKNOWN", "no such endpoint");
    if (!IsValidName(target->name)) return Refuse(400, "NAME_INVALID", Cat("invalid repository name ", Quote(target->name)));
    const bool read = r.method == "GET" || r.method == "HEAD";
    if (auto no = Check(r, read ? Action::kPull : r.method == "DELETE" ? Action::kDelete : Action::kPush, target->name)) return std::move(*no);
    if (target->kind == "blobs/uploads") return Upload(ctx, r, *target);
    if (target->kind == "blobs") return Blob(r, *target);
    if (target->kind == "manifests") return ManifestRequest(r, *target);
    if (target->kind == "referrers" && read) return Referrers(r, *target);
    if (target->kind == "tags" && target->rest == "list" && read) return Tags(r, *target);
    return Refuse(405, "UNSUPPORTED", "the operation is unsupported");
  }

  std::optional<http::Response> Check(const http::Request& r, Action action, std::string_view name) const {
    return options_.authorize ? options_.authorize(r, action, name) : std::nullopt;
  }

  static void Page(std::vector<std::string>& names, const http::Request& r, const std::string& path, http::Headers* headers) {
    const std::string_view last = r.Query("last");
    if (!last.empty()) std::erase_if(names, [&](const std::string& n) { return n <= last; });
    const auto n = r.HasQuery("n") ? ParseUint(r.Query("n")) : std::nullopt;
    if (!n || names.size() <= *n) return;
    names.resize(*n);
    if (!names.empty()) headers->push_back({"Link", Cat("<", path, "?last=", http::EscapeQuery(names.back()), "&n=", *n, ">; rel=\"next\"")});
  }

  http::Reply Catalog(const http::Request& r) {
    if (auto no = Check(r, Action::kCatalog, "")) return std::move(*no);
    std::vector<std::string> names = storage_.Repositories();
    http::Headers headers;
    Page(names, r, "/v2/_catalog", &headers);
    json::Value body;
    body.Set("repositories") = json::Value::Array();
    for (const std::string& n : names) body.Set("repositories").Append(n);
    return JsonAnswer(200, body, std::move(headers));
  }

  http::Reply Tags(const http::Request& r, const Target& t) {
    auto tags = storage_.Tags(t.name);
    if (!tags) return FromError(tags.error(), "NAME_UNKNOWN", "NAME_INVALID");
    http::Headers headers;
    Page(*tags, r, r.path, &headers);
    json::Value body;
    body.Set("name") = t.name;
    body.Set("tags") = json::Value::Array();
    for (const std::string& tag : *tags) body.Set("tags").Append(tag);
    return JsonAnswer(200, body, std::move(headers));
  }

  http::Reply Blob(const http::Request& r, const Target& t) {
    if (!IsValidDigest(t.rest)) return Refuse(400, "DIGEST_INVALID", Cat("invalid digest ", Quote(t.rest)));
    if (r.method == "DELETE") {
      auto gone = storage_.DeleteBlob(t.name, t.rest);
      return gone ? http::Reply(Answer(202, {{"Docker-Content-Digest", t.rest}})) : http::Reply(FromError(gone.error(), "BLOB_UNKNOWN", "DIGEST_INVALID"));
    }
    if (r.method != "GET" && r.method != "HEAD") return Refuse(405, "UNSUPPORTED", "the operation is unsupported");
    auto info = storage_.StatBlob(t.name, t.rest);
    if (!info) return FromError(info.error(), "BLOB_UNKNOWN", "DIGEST_INVALID");
    http::Headers headers{{"Content-Type", "application/octet-stream"}, {"Docker-Content-Digest", t.rest}, {"Etag", Cat("\"", t.rest, "\"")},
                          {"Accept-Ranges", "bytes"}, {"Docker-Distribution-Api-Version", "registry/2.0"}};
    http::File file{200, std::move(headers), info->path, 0, info->size};
    if (const std::string_view range = r.Get("Range"); range.starts_with("bytes=") && r.method == "GET") {
      std::int64_t first = 0, last = info->size - 1;
      if (!ParseRange(range.substr(6), info->size, &first, &last)) {
        return Refuse(416, "UNSUPPORTED", "requested range not satisfiable", {{"Content-Range", Cat("bytes */", info->size)}});
      }
      file.status = 206;
      file.offset = first;
      file.length = last - first + 1;
      file.headers.push_back({"Content-Range", Cat("bytes ", first, "-", last, "/", info->size)});
    }
    return file;
  }

  static bool ParseRange(std::string_view text, std::int64_t size, std::int64_t* first, std::int64_t* last) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos || text.find(',') != std::string_view::npos) return false;
    const auto a = ParseInt(text.substr(0, dash)), b = ParseInt(text.substr(dash + 1));
    if (dash == 0) {                                   // the last n bytes
      if (!b || *b <= 0) return false;
      *first = std::max<std::int64_t>(0, size - *b);
      return size > 0;
    }
    if (!a || *a < 0 || *a >= size || (b && *b < *a) || (!b && dash + 1 != text.size())) return false;
    *first = *a;
    if (b) *last = std::min(*b, size - 1);
    return true;
  }

  static http::Headers UploadHeaders(const Target& t, const std::string& id, std::int64_t size) {
    return {{"Location", Cat("/v2/", t.name, "/blobs/uploads/", id)}, {"Docker-Upload-Uuid", id}, {"Range", Cat("0-", size > 0 ? size - 1 : 0)}};
  }

  http::Reply Created(const Target& t, std::string_view digest) {
    return Answer(201, {{"Location", Cat("/v2/", t.name, "/blobs/", digest)}, {"Docker-Content-Digest", std::string(digest)}});
  }

  // Streams the body to the end of the upload.
  Result<std::int64_t> Receive(const Ctx& ctx, const http::Request& r, const std::string& id, std::optional<std::int64_t> offset) {
    std::int64_t size = 0;
    TRY(size, storage_.UploadSize(id));
    if (offset && *offset != size) return Fail(Code::kGone, Cat("the upload has ", size, " bytes; a chunk must start there"));
    if (!r.reader) return size;
    std::string buffer(kPiece, '\0');
    for (;;) {
      TRY(const std::size_t n, r.reader->Read(ctx, std::as_writable_bytes(std::span(buffer))));
      if (n == 0) return size;
      TRY(size, storage_.AppendUpload(id, size, std::string_view(buffer.data(), n)));
    }
  }

  http::Reply Upload(const Ctx& ctx, const http::Request& r, const Target& t) {
    if (r.method == "POST" && t.rest.empty()) return StartUpload(ctx, r, t);
    auto size = storage_.UploadSize(t.rest);
    if (!size) return FromError(size.error(), "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    if (r.method == "GET" || r.method == "HEAD") return Answer(204, UploadHeaders(t, t.rest, *size));
    if (r.method == "DELETE") {
      static_cast<void>(storage_.CancelUpload(t.rest));
      return Answer(204);
    }
    if (r.method != "PATCH" && r.method != "PUT") return Refuse(405, "UNSUPPORTED", "the operation is unsupported");
    std::optional<std::int64_t> offset;
    if (const std::string_view range = r.Get("Content-Range"); !range.empty()) {
      std::string_view text = range.starts_with("bytes ") ? range.substr(6) : range;
      offset = ParseInt(text.substr(0, text.find('-')));
      if (!offset) return Refuse(400, "BLOB_UPLOAD_INVALID", "malformed Content-Range");
    }
    auto received = Receive(ctx, r, t.rest, offset);
    if (!received) {
      if (received.error().code() == Code::kGone) return Refuse(416, "BLOB_UPLOAD_INVALID", received.error().message(), UploadHeaders(t, t.rest, *size));
      return FromError(received.error(), "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    }
    if (r.method == "PATCH") return Answer(202, UploadHeaders(t, t.rest, *received));
    return Finish(r, t, t.rest);
  }

  http::Reply StartUpload(const Ctx& ctx, const http::Request& r, const Target& t) {
    const std::string mount(r.Query("mount")), from(r.Query("from"));
    if (!mount.empty() && IsValidDigest(mount) && IsValidName(from) && !Check(r, Action::kPull, from)) {
      if (storage_.MountBlob(t.name, mount, from)) return Created(t, mount);
    }
    auto id = storage_.StartUpload();
    if (!id) return FromError(id.error(), "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    if (!r.HasQuery("digest")) return Answer(202, UploadHeaders(t, *id, 0));
    if (auto received = Receive(ctx, r, *id, std::nullopt); !received) {
      static_cast<void>(storage_.CancelUpload(*id));
      return FromError(received.error(), "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    }
    return Finish(r, t, *id);
  }

  http::Reply Finish(const http::Request& r, const Target& t, const std::string& id) {
    const std::string digest(r.Query("digest"));
    if (!IsValidDigest(digest)) return Refuse(400, "DIGEST_INVALID", Cat("invalid digest ", Quote(digest)));
    if (auto done = storage_.FinishUpload(t.name, id, digest); !done) return FromError(done.error(), "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID");
    return Created(t, digest);
  }

  http::Reply ManifestRequest(const http::Request& r, const Target& t) {
    if (!IsValidDigest(t.rest) && !IsValidTag(t.rest)) return Refuse(400, "MANIFEST_INVALID", Cat("invalid reference ", Quote(t.rest)));
    if (r.method == "PUT") return PutManifest(r, t);
    if (r.method == "DELETE") {
      auto gone = storage_.DeleteManifest(t.name, t.rest);
      return gone ? http::Reply(Answer(202)) : http::Reply(FromError(gone.error(), "MANIFEST_UNKNOWN", "MANIFEST_INVALID"));
    }
    if (r.method != "GET" && r.method != "HEAD") return Refuse(405, "UNSUPPORTED", "the operation is unsupported");
    auto m = storage_.GetManifest(t.name, t.rest);
    if (!m) return FromError(m.error(), "MANIFEST_UNKNOWN", "MANIFEST_INVALID");
    return Answer(200, {{"Content-Type", m->media_type}, {"Docker-Content-Digest", m->digest}, {"Etag", Cat("\"", m->digest, "\"")}}, std::move(m->content));
  }

  http::Reply PutManifest(const http::Request& r, const Target& t) {
    json::Value v;
    std::string why;
    if (!json::Value::Parse(r.body, &v, &why) || !v.is_object()) return Refuse(400, "MANIFEST_INVALID", Cat("the manifest is not JSON: ", why));
    std::string type(r.Get("Content-Type"));
    if (type.empty()) type = v["mediaType"].Str("application/vnd.oci.image.manifest.v1+json");
    if (const std::string_view own = v["mediaType"].Str(); !own.empty() && own != type) {
      return Refuse(400, "MANIFEST_INVALID", Cat("Content-Type ", type, " differs from the manifest's mediaType ", own));
    }
    std::vector<std::string> needed;
    if (v["config"]["digest"].is_string()) needed.emplace_back(v["config"]["digest"].Str());
    for (const json::Value& l : v["layers"].Items()) {
      if (l["urls"].size() == 0) needed.emplace_back(l["digest"].Str());   // foreign layers live elsewhere
    }
    for (const std::string& digest : needed) {
      if (!IsValidDigest(digest) || !storage_.StatBlob(t.name, digest)) return Refuse(404, "MANIFEST_BLOB_UNKNOWN", Cat("blob ", digest, " is unknown to the repository; push it first"));
    }
    for (const json::Value& m : v["manifests"].Items()) {
      if (!storage_.GetManifest(t.name, m["digest"].Str())) return Refuse(404, "MANIFEST_BLOB_UNKNOWN", Cat("manifest ", m["digest"].Str(), " is unknown to the repository; push it first"));
    }
    auto digest = storage_.PutManifest(t.name, t.rest, type, r.body);
    if (!digest) return FromError(digest.error(), "MANIFEST_UNKNOWN", "DIGEST_INVALID");
    if (options_.pushed) options_.pushed(t.name, t.rest, Manifest{*digest, type, r.body});
    http::Headers headers{{"Location", Cat("/v2/", t.name, "/manifests/", *digest)}, {"Docker-Content-Digest", *digest}};
    if (const std::string_view subject = v["subject"]["digest"].Str(); !subject.empty()) headers.push_back({"OCI-Subject", std::string(subject)});
    return Answer(201, std::move(headers));
  }

  http::Reply Referrers(const http::Request& r, const Target& t) {
    if (!IsValidDigest(t.rest)) return Refuse(400, "DIGEST_INVALID", Cat("invalid digest ", Quote(t.rest)));
    json::Value body;
    body.Set("schemaVersion") = 2;
    body.Set("mediaType") = "application/vnd.oci.image.index.v1+json";
    body.Set("manifests") = json::Value::Array();
    const std::string_view wanted = r.Query("artifactType");
    for (const Manifest& m : storage_.Referrers(t.name, t.rest)) {
      json::Value v, d;
      std::string why;
      if (!json::Value::Parse(m.content, &v, &why)) continue;
      const std::string_view artifact = v["artifactType"].Str().empty() ? v["config"]["mediaType"].Str() : v["artifactType"].Str();
      if (!wanted.empty() && artifact != wanted) continue;
      d.Set("mediaType") = m.media_type;
      d.Set("digest") = m.digest;
      d.Set("size") = static_cast<std::int64_t>(m.content.size());
      d.Set("artifactType") = artifact;
      if (v["annotations"].is_object()) d.Set("annotations") = v["annotations"].Clone();
      body.Set("manifests").Append(std::move(d));
    }
    http::Headers headers{{"Content-Type", "application/vnd.oci.image.index.v1+json"}};
    if (!wanted.empty()) headers.push_back({"OCI-Filters-Applied", "artifactType"});
    return Answer(200, std::move(headers), body.Dump());
  }

  Storage& storage_;
  const RegistryOptions options_;
};

}  // namespace

std::unique_ptr<http::Handler> NewRegistryHandler(Storage& storage, RegistryOptions options) { return std::make_unique<Handler>(storage, std::move(options)); }

}  // namespace skerry::registry
