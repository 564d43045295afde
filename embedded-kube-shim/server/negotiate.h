#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/http/message.h"
#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube {

enum class Shape : std::uint8_t { kObject, kTable, kPartial, kPartialList };

// The representation a client asked for.
struct Output {
  Encoding encoding = Encoding::kJson;
  Shape shape = Shape::kObject;
  std::string meta_version = "v1";   // of Table and PartialObjectMetadata: v1, v1beta1
  bool pretty = false;
  std::string_view media_type() const;
};

// kWatchable: the list of representations in a refusal has the stream forms too. kReview: has no table. kDocument: is no object of an API.
enum class MediaScope : std::uint8_t { kObject, kWatchable, kReview, kDocument };

enum class Wire : std::uint8_t { kAny, kText };   // kText: a custom resource, which has no protobuf form

// Errors: 406 NotAcceptable in upstream's words.
Result<Output> Negotiate(const http::Request& request, MediaScope scope, Wire wire = Wire::kAny);
// For answers where anything unacceptable falls back to JSON (errors).
Output NegotiateLenient(const http::Request& request);
bool WantsPretty(const http::Request& request);
// Of a request body; absent = JSON. Errors: 415.
Result<Encoding> RequestEncoding(const http::Request& request, Wire wire = Wire::kAny);

struct MediaRange {
  std::string type;                                        // lower case, "application/json", "*/*"
  std::vector<http::Header> parameters;                    // without q
  double quality = 1;
};
// In the order of preference: quality, then as written.
std::vector<MediaRange> ParseAccept(std::string_view accept);
MediaRange ParseMediaType(std::string_view text);

}  // namespace skerry::kube
