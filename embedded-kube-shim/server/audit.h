#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/http/message.h"
#include "core/json/value.h"
#include "embedded-kube-shim/auth/rbac.h"

// The audit log: one JSON object (audit.k8s.io/v1 Event) a line for every stage of a request that the policy wants to see.
namespace skerry::kube {

enum class AuditLevel : std::uint8_t { kNone, kMetadata, kRequest, kRequestResponse };
enum class AuditStage : std::uint8_t { kRequestReceived, kResponseStarted, kResponseComplete, kPanic };

class AuditPolicy {
 public:
  // A Policy of audit.k8s.io/v1 in YAML or JSON. kInvalid names the rule.
  static Result<AuditPolicy> Parse(std::string_view text);

  struct Decision {
    AuditLevel level = AuditLevel::kNone;
    bool stages[4] = {true, true, true, true};   // by AuditStage
    bool managed_fields = true;
  };
  Decision Decide(const Attributes& attributes) const;   // of the first rule that matches

 private:
  struct Rule;
  std::vector<std::shared_ptr<const Rule>> rules_;
};

struct AuditLogOptions {
  std::string path;                  // "-" = standard output
  std::int64_t max_size = 100 << 20; // bytes; a file that has grown beyond is set aside
  int max_backups = 0;               // files that are kept aside; 0 = all
  std::chrono::hours max_age{0};     // of files set aside; 0 = any
};

// A file that is set aside as NAME-<time>.EXT when it is full. Thread-safe; a line is written before Write returns.
class AuditLog {
 public:
  static Result<std::unique_ptr<AuditLog>> Open(AuditLogOptions options, const Clock& clock);
  void Write(std::string line);

 private:
  AuditLog(AuditLogOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  Result<> OpenFile();
  void Rotate();
  void DropOld() const;

  const AuditLogOptions options_;
  const Clock& clock_;
  std::mutex mutex_;
  UniqueFd fd_;                      // guarded
  std::int64_t size_ = 0;            // guarded
};

// What is known of one request. One owner at a time.
class AuditRecord {
 public:
  AuditRecord(const AuditPolicy& policy, AuditLog& log, const Clock& clock, std::string id, const http::Request& request, const Attributes& attributes, const User& original);
  bool wanted() const { return decision_.level != AuditLevel::kNone; }
  void SetVerdict(bool allowed, std::string_view reason);
  // What others add until Answered: the request's thread of the moment writes. Null when nobody wants the record.
  const std::shared_ptr<std::map<std::string, std::string>>& annotations() const { return added_; }
  // Call once each, in order.
  void Received();
  void Answered(const http::Reply& reply);

 private:
  json::Value Event(AuditStage stage) const;
  void Emit(AuditStage stage, json::Value event);

  const AuditPolicy::Decision decision_;
  AuditLog& log_;
  const Clock& clock_;
  json::Value common_;               // members that every stage has
  json::Value request_object_, annotations_;
  std::shared_ptr<std::map<std::string, std::string>> added_;
  const std::string redact_;         // the kind of secret the objects of the request hold; empty = none
  const bool long_running_;
};

}  // namespace skerry::kube
