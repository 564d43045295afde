#pragma once
#include "core/base/guarded.h"
#include "core/container/image.h"
#include "core/container/oci/layer.h"
#include "core/container/oci/transport.h"
#include "core/json/value.h"

// Pull side of the OCI distribution specification 1.1 and Docker's registry API v2 (manifest lists, token authentication).
namespace skerry::container::oci {

struct Manifest {
  struct Blob {
    std::string digest;
    std::int64_t size = 0;
  };
  std::string digest;            // of the manifest that was chosen for this machine
  std::string index_digest;      // of what the reference names: a list, or the same
  Blob config;
  std::vector<Blob> layers;      // lowest first
};

// One repository with one set of credentials. Not thread-safe; the token is kept for the client's life.
class RegistryClient {
 public:
  RegistryClient(Transport& transport, ImageReference reference, Credentials credentials, bool insecure);
  Result<Manifest> FetchManifest(const Ctx& ctx);
  Result<std::string> FetchConfig(const Ctx& ctx, const Manifest::Blob& blob);
  // The blob's bytes into the sink (false stops); the digest is checked by whoever unpacks.
  Result<> FetchBlob(const Ctx& ctx, const Manifest::Blob& blob, const Transport::Sink& sink);
  const ImageReference& reference() const { return reference_; }

 private:
  Result<TransportResponse> Get(const Ctx& ctx, const std::string& path, const std::vector<std::string>& accept, const Transport::Sink& sink);
  Result<std::string> GetText(const Ctx& ctx, const std::string& path, const std::vector<std::string>& accept, std::string* digest);
  Result<> Authenticate(const Ctx& ctx, const std::string& challenge);
  Result<> FetchToken(const Ctx& ctx, const std::map<std::string, std::string>& parameters);
  Error Refused(const TransportResponse& response) const;

  Transport& transport_;
  const ImageReference reference_;
  const Credentials credentials_;
  const std::string base_;       // "https://host/v2/name"
  std::string authorization_;
};

// 'Bearer realm="…",service="…"' → scheme in lower case under "", and the parameters.
std::map<std::string, std::string> ParseChallenge(std::string_view header);
std::string Base64(std::string_view bytes);
// The manifest for linux on this machine's architecture out of a list; kNotFound names what there is.
Result<std::string> ChoosePlatform(const json::Value& index);
// Whether an image's configuration is for this machine; one that does not say is taken. kNotFound names what it is for.
Result<> CheckPlatform(const json::Value& config);
// A manifest of one image. kUnsupported: another kind of artifact.
Result<Manifest> ParseManifest(const json::Value& root);

}  // namespace skerry::container::oci
