#pragma once
#include <memory>
#include <string>

#include "core/base/result.h"
#include "store/engine/sealing.h"

namespace skerry::cmd {

// What seals records on disk. Without a configuration: Secrets, with a key of our own (pki/sealing.key, made when it is missing). With an
// EncryptionConfiguration of apiserver.config.k8s.io: what it says; providers are aesgcm (32-byte keys) and identity, the first writes and
// all read, and our own key goes on reading what it has sealed. kInvalid names the place.
Result<std::shared_ptr<const store::RecordSealer>> LoadSealer(const std::string& pki_directory, const std::string& configuration_file);

}  // namespace skerry::cmd
