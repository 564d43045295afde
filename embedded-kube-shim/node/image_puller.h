#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "core/base/clock.h"
#include "core/base/thread_pool.h"
#include "core/container/image.h"
#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/node/pod_status.h"
#include "embedded-kube-shim/node/sources.h"

namespace skerry::kube::node {

// Brings images to this machine without blocking the pods that wait for them. Thread-safe.
class ImagePuller {
 public:
  ImagePuller(container::Images& images, ElasticPool& pool, EventRecorder& events, const Clock& clock, std::stop_token stop)
      : images_(images), pool_(pool), events_(events), clock_(clock), stop_(std::move(stop)) {}

  struct Wait {
    WaitReason reason;
    std::optional<std::chrono::milliseconds> retry_after;   // back-off; unset: `wake` will be called
  };
  using Answer = std::variant<container::ImageInfo, Wait>;
  // The image for one start of a container, by its pull policy. `start` names that start ("<container id>"), so that Always pulls once
  // for each. A pull in flight answers Wait and calls `wake` at its end from another thread.
  Answer Ensure(const ObjectPtr& pod, const json::Value& container, const std::string& start, const Lister& secrets, std::function<void()> wake);
  void Forget(const std::string& uid);   // of a pod that is gone

 private:
  struct Pull {
    bool running = false;
    int failures = 0;
    Clock::MonoTime retry_at{};
    WaitReason error;
    bool told = false;                   // an event says that it waits
    std::string done_for;                // the start for which it was pulled
  };
  void Run(const ObjectPtr& pod, const std::string& image, const std::string& field, const std::string& key, const std::string& start,
           container::Credentials credentials, const std::function<void()>& wake);

  container::Images& images_;
  ElasticPool& pool_;
  EventRecorder& events_;
  const Clock& clock_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::map<std::string, Pull> pulls_;    // "<pod uid>/<image>"
};

// The credentials for an image among the pod's imagePullSecrets (kubernetes.io/dockerconfigjson and dockercfg); anonymous when none fits.
container::Credentials CredentialsFor(const json::Value& pod, std::string_view image, const Lister& secrets);

}  // namespace skerry::kube::node
