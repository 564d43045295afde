#include "embedded-kube-shim/server/negotiate.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kTypes = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
constexpr std::string_view kStreamTypes = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

Error NotAcceptable(std::string message, bool details) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 406;
  detail->reason = "NotAcceptable";
  detail->has_details = details;
  return Error(Code::kUnsupported, std::move(message)).WithAttachment(std::move(detail));
}

std::string_view ParameterOf(const MediaRange& range, std::string_view key) {
  for (const auto& parameter : range.parameters)
    if (parameter.name == key) return parameter.value;
  return {};
}

bool EncodingOf(std::string_view type, Encoding* encoding) {
  if (type == "application/json" || type == "*/*") { *encoding = Encoding::kJson; return true; }
  if (type == "application/yaml") { *encoding = Encoding::kYaml; return true; }
  if (type == "application/vnd.kubernetes.protobuf") { *encoding = Encoding::kProtobuf; return true; }
  return false;
}

// The transformation a range asks for; false when it is none of ours.
bool ShapeOf(const MediaRange& range, Output* output) {
  const auto as = ParameterOf(range, "as");
  if (as.empty()) return true;
  if (ParameterOf(range, "g") != "meta.k8s.io") return false;
  const auto version = ParameterOf(range, "v");
  if (version != "v1" && version != "v1beta1") return false;
  output->meta_version = version;
  if (as == "Table") output->shape = Shape::kTable;
  else if (as == "PartialObjectMetadata") output->shape = Shape::kPartial;
  else if (as == "PartialObjectMetadataList") output->shape = Shape::kPartialList;
  else return false;
  return true;
}

}  // namespace

std::string_view Output::media_type() const {
  switch (encoding) {
    case Encoding::kYaml: return "application/yaml";
    case Encoding::kProtobuf: return "application/vnd.kubernetes.protobuf";
    case Encoding::kJson: break;
  }
  return "application/json";
}

MediaRange ParseMediaType(std::string_view text) {
  MediaRange range;
  bool first = true;
  for (const auto piece : Split(text, ';')) {
    const auto part = Trim(piece);
    if (first) {
      range.type = ToLower(part);
      first = false;
      continue;
    }
    const auto equals = part.find('=');
    auto key = ToLower(Trim(part.substr(0, equals)));
    auto value = equals == std::string_view::npos ? std::string_view() : Trim(part.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (key == "q") range.quality = std::strtod(std::string(value).c_str(), nullptr);
    else range.parameters.push_back({std::move(key), std::string(value)});
  }
  return range;
}

std::vector<MediaRange> ParseAccept(std::string_view accept) {
  std::vector<MediaRange> ranges;
  for (const auto piece : Split(accept, ',')) {
    if (Trim(piece).empty()) continue;
    ranges.push_back(ParseMediaType(Trim(piece)));
    if (ranges.size() == 32) break;
  }
  std::stable_sort(ranges.begin(), ranges.end(), [](const MediaRange& a, const MediaRange& b) { return a.quality > b.quality; });
  return ranges;
}

bool WantsPretty(const http::Request& request) {
  if (request.HasQuery("pretty")) {
    const auto value = request.Query("pretty");
    return value == "1" || value == "true" || value == "True" || value == "TRUE" || value == "t" || value == "T";
  }
  const auto agent = request.Get("User-Agent");
  return agent.starts_with("curl") || agent.starts_with("Wget") || agent.starts_with("Mozilla/5.0");
}

Result<Output> Negotiate(const http::Request& request, MediaScope scope, Wire wire) {
  Output output;
  output.pretty = WantsPretty(request);
  const auto accept = request.Get("Accept");
  if (accept.empty() || accept == "*/*" || accept == "application/json") return output;   // what most requests say
  const auto ranges = ParseAccept(accept);
  if (ranges.empty()) return output;
  bool type_known = false;
  for (const auto& range : ranges) {
    Output candidate = output;
    if (!EncodingOf(range.type, &candidate.encoding)) continue;
    if (wire == Wire::kText && candidate.encoding == Encoding::kProtobuf && ParameterOf(range, "as").empty()) continue;
    type_known = true;
    if (!ShapeOf(range, &candidate)) continue;
    const auto pretty = ParameterOf(range, "pretty");
    if (!pretty.empty()) candidate.pretty = pretty == "1" || pretty == "true";
    if (candidate.shape == Shape::kTable && (candidate.encoding == Encoding::kProtobuf || scope == MediaScope::kReview)) continue;
    return candidate;
  }
  const auto streams = scope == MediaScope::kWatchable ? kStreamTypes : std::string_view();
  if (type_known || scope == MediaScope::kDocument) return std::unexpected(NotAcceptable(Cat("only the following media types are accepted: ", kTypes), false));
  return std::unexpected(NotAcceptable(wire == Wire::kText ? Cat("only the following media types are accepted: ", kTypes) : Cat("406: Not Acceptable\n\nAvailable representations: ", kTypes, streams), wire == Wire::kAny));
}

Output NegotiateLenient(const http::Request& request) {
  if (auto output = Negotiate(request, MediaScope::kObject)) {
    output->shape = Shape::kObject;
    return *output;
  }
  Output output;
  output.pretty = WantsPretty(request);
  return output;
}

Result<Encoding> RequestEncoding(const http::Request& request, Wire wire) {
  const auto content_type = request.Get("Content-Type");
  if (content_type.empty()) return Encoding::kJson;
  const auto media = ParseMediaType(content_type);
  Encoding encoding;
  if (media.type != "*/*" && EncodingOf(media.type, &encoding) && (wire == Wire::kAny || encoding != Encoding::kProtobuf)) return encoding;
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 415;
  detail->reason = "UnsupportedMediaType";
  return std::unexpected(Error(Code::kUnsupported, Cat("the body of the request was in an unknown format - accepted media types include: ", kTypes)).WithAttachment(detail));
}

}  // namespace skerry::kube
