#include "embedded-kube-shim/node/image_puller.h"

#include <cstdio>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

constexpr std::chrono::seconds kFirstBackoff{10}, kLastBackoff{300};
constexpr std::chrono::minutes kPullDeadline{30};

std::chrono::milliseconds BackoffAfter(int failures) {
  auto d = kFirstBackoff;
  for (int i = 1; i < failures && d < kLastBackoff; ++i) d *= 2;
  return std::min(d, kLastBackoff);
}

std::string Seconds(std::chrono::steady_clock::duration d) {
  char buffer[32];
  const double s = std::chrono::duration<double>(d).count();
  std::snprintf(buffer, sizeof buffer, s < 1 ? "%.0fms" : "%.3fs", s < 1 ? s * 1000 : s);
  return buffer;
}

std::string_view PolicyOf(const json::Value& c) {
  const std::string_view policy = c["imagePullPolicy"].Str();
  return policy.empty() ? "IfNotPresent" : policy;
}

// "https://index.docker.io/v1/" and "index.docker.io" both stand for docker.io.
std::string RegistryOf(std::string_view key) {
  const std::size_t scheme = key.find("://");
  if (scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  std::string host(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

}  // namespace

container::Credentials CredentialsFor(const json::Value& pod, std::string_view image, const Lister& secrets) {
  container::Credentials out;
  const auto reference = container::ImageReference::Parse(image);
  if (!reference) return out;
  for (const json::Value& ref : pod["spec"]["imagePullSecrets"].Items()) {
    const ObjectPtr secret = secrets.Get({std::string(Namespace(pod)), std::string(ref["name"].Str())});
    if (!secret) continue;
    const bool modern = (*secret)["data"].Find(".dockerconfigjson") != nullptr;
    const auto text = text::FromBase64((*secret)["data"][modern ? ".dockerconfigjson" : ".dockercfg"].Str());
    json::Value config;
    std::string error;
    if (!text || !json::Value::Parse(*text, &config, &error)) continue;
    for (const json::Member& m : (modern ? config["auths"] : config).Members()) {
      if (RegistryOf(m.key) != reference->registry) continue;
      out.username = m.value["username"].Str();
      out.password = m.value["password"].Str();
      out.identity_token = m.value["identitytoken"].Str();
      out.registry_token = m.value["registrytoken"].Str();
      if (const auto both = text::FromBase64(m.value["auth"].Str()); both && out.username.empty()) {
        const std::size_t colon = both->find(':');
        out.username = both->substr(0, colon);
        if (colon != std::string::npos) out.password = both->substr(colon + 1);
      }
      return out;
    }
  }
  return out;
}

ImagePuller::Answer ImagePuller::Ensure(const ObjectPtr& pod, const json::Value& container, const std::string& start, const Lister& secrets,
                                        std::function<void()> wake) {
  const std::string image(container["image"].Str());
  const std::string field = Cat("spec.containers{", container["name"].Str(), "}");
  const std::string_view policy = PolicyOf(container);
  if (auto parsed = container::ImageReference::Parse(image); !parsed) {
    const std::string message = Cat("Failed to apply default image tag ", Quote(image), ": couldn't parse image name ", Quote(image), ": invalid reference format");
    events_.Event(*pod, "Warning", "InspectFailed", message, field);
    events_.Event(*pod, "Warning", "Failed", "Error: InvalidImageName", field);
    return Wait{{"InvalidImageName", message}, kLastBackoff};
  }
  const std::string key = Cat(Uid(*pod), "/", image);
  if (auto found = images_.Find(image); found) {
    std::lock_guard lock(mutex_);
    const auto it = pulls_.find(key);
    if (policy != "Always") {
      if (it == pulls_.end() || it->second.done_for != start) events_.Event(*pod, "Normal", "Pulled", Cat("Container image ", Quote(image), " already present on machine"), field);
      return *found;
    }
    if (it != pulls_.end() && it->second.done_for == start) return *found;
  } else if (found.error().code() != Code::kNotFound) {
    return Wait{{"ImageInspectError", std::string(found.error().message())}, kFirstBackoff};
  }
  if (policy == "Never") {
    const std::string message = Cat("Container image ", Quote(image), " is not present with pull policy of Never");
    events_.Event(*pod, "Warning", "ErrImageNeverPull", message, field);
    events_.Event(*pod, "Warning", "Failed", "Error: ErrImageNeverPull", field);
    return Wait{{"ErrImageNeverPull", message}, kLastBackoff};
  }
  std::lock_guard lock(mutex_);
  Pull& pull = pulls_[key];
  const Clock::MonoTime now = clock_.Mono();
  if (!pull.running && now < pull.retry_at) {
    if (!std::exchange(pull.told, true)) {
      events_.Event(*pod, "Normal", "BackOff", Cat("Back-off pulling image ", Quote(image)), field);
      events_.Event(*pod, "Warning", "Failed", "Error: ImagePullBackOff", field);
    }
    return Wait{{"ImagePullBackOff", Cat("Back-off pulling image ", Quote(image), ": ", pull.error.reason, ": ", pull.error.message)},
                std::chrono::ceil<std::chrono::milliseconds>(pull.retry_at - now)};
  }
  const bool failed_before = pull.failures > 0;
  if (!pull.running) {
    container::Credentials credentials = CredentialsFor(*pod, image, secrets);
    pull.running = pool_.TrySubmit([this, pod, image, field, key, start, credentials = std::move(credentials), wake = std::move(wake)]() mutable {
      Run(pod, image, field, key, start, std::move(credentials), wake);
    });
    if (!pull.running) return Wait{{"ContainerCreating", ""}, std::chrono::seconds(1)};
    events_.Event(*pod, "Normal", "Pulling", Cat("Pulling image ", Quote(image)), field);
  }
  return Wait{failed_before ? pull.error : WaitReason{}, std::nullopt};
}

void ImagePuller::Run(const ObjectPtr& pod, const std::string& image, const std::string& field, const std::string& key, const std::string& start,
                      container::Credentials credentials, const std::function<void()>& wake) {
  const auto begin = clock_.Mono();
  const Ctx ctx(stop_, std::chrono::steady_clock::now() + kPullDeadline);
  auto pulled = images_.Pull(ctx, image, credentials);
  if (stop_.stop_requested()) return;
  {
    std::lock_guard lock(mutex_);
    Pull& pull = pulls_[key];
    pull.running = false;
    pull.told = false;
    if (pulled) {
      pull.failures = 0;
      pull.retry_at = {};
      pull.done_for = start;
      const std::string took = Seconds(clock_.Mono() - begin);
      events_.Event(*pod, "Normal", "Pulled", Cat("Successfully pulled image ", Quote(image), " in ", took, " (", took, " including waiting). Image size: ", pulled->size_bytes, " bytes."), field);
    } else {
      pull.retry_at = clock_.Mono() + BackoffAfter(++pull.failures);
      pull.error = {"ErrImagePull", std::string(pulled.error().message())};
      events_.Event(*pod, "Warning", "Failed", Cat("Failed to pull image ", Quote(image), ": ", pulled.error().message()), field);
      events_.Event(*pod, "Warning", "Failed", "Error: ErrImagePull", field);
    }
  }
  wake();
}

void ImagePuller::Forget(const std::string& uid) {
  std::lock_guard lock(mutex_);
  for (auto it = pulls_.lower_bound(uid + "/"); it != pulls_.end() && it->first.starts_with(uid + "/");) it = it->second.running ? std::next(it) : pulls_.erase(it);
}

}  // namespace skerry::kube::node
