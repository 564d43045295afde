#include "core/base/clock.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"

namespace skerry::kube::stream {
namespace {

// A container's log as a reply; the reader already has the shape of a source.
class LogSource final : public http::Source {
 public:
  explicit LogSource(std::unique_ptr<container::LogReader> reader) : reader_(std::move(reader)) {}
  Result<Bytes> Next() override {
    TRY(std::string text, reader_->Next());
    return Bytes(std::move(text));
  }
  void OnReady(std::function<void()> notify) override { reader_->OnReady(std::move(notify)); }

 private:
  const std::unique_ptr<container::LogReader> reader_;
};

bool Flag(const http::Request& r, std::string_view name) {
  const std::string_view v = r.Query(name);
  return v == "true" || v == "1" || v == "True" || v == "t" || v == "T" || v == "TRUE";
}

FieldErrors Problems(const http::Request& r, container::LogOptions* options) {
  FieldErrors errors;
  const auto number = [&](const char* name, std::int64_t least, const char* rule) -> std::optional<std::int64_t> {
    if (!r.HasQuery(name) || r.Query(name).empty()) return std::nullopt;
    const auto n = ParseInt(r.Query(name));
    if (n && *n >= least) return n;
    errors.push_back({FieldErrorType::kInvalid, name, n ? std::to_string(*n) : Quote(r.Query(name)), rule});
    return std::nullopt;
  };
  options->tail_lines = number("tailLines", 0, "must be greater than or equal to 0");
  options->limit_bytes = number("limitBytes", 1, "must be greater than 0");
  const auto seconds = number("sinceSeconds", 1, "must be greater than 0");
  if (seconds && !r.Query("sinceTime").empty()) errors.push_back({FieldErrorType::kForbidden, "", "", "at most one of `sinceTime` or `sinceSeconds` may be specified"});
  if (seconds) options->since = Clock::System().Now() - std::chrono::seconds(*seconds);
  if (!r.Query("sinceTime").empty()) {
    if (auto t = ParseTime(r.Query("sinceTime"))) options->since = *t;
  }
  const std::string_view which = r.Query("stream");
  if (which == "Stdout") options->streams = container::LogOptions::Streams::kStdout;
  if (which == "Stderr") options->streams = container::LogOptions::Streams::kStderr;
  if (!which.empty() && which != "All" && which != "Stdout" && which != "Stderr") {
    errors.push_back({FieldErrorType::kNotSupported, "stream", Quote(which), "supported values: \"All\", \"Stderr\", \"Stdout\""});
  }
  return errors;
}

}  // namespace

Result<http::Reply> Log(NodeStreams& node, const http::Request& r, const Key& pod) {
  container::LogOptions options;
  options.follow = Flag(r, "follow");
  options.timestamps = Flag(r, "timestamps");
  if (const FieldErrors errors = Problems(r, &options); !errors.empty()) return std::unexpected(InvalidError("", "PodLogOptions", "", errors));
  TRY(std::unique_ptr<container::LogReader> reader, node.Logs(pod, r.Query("container"), Flag(r, "previous"), options));
  http::Streaming reply;
  reply.headers = {{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}};
  reply.source = std::make_unique<LogSource>(std::move(reader));
  return http::Reply(std::move(reply));
}

}  // namespace skerry::kube::stream
