#pragma once
#include "core/base/result.h"
#include "core/container/spec.h"
#include "core/json/value.h"

// What the driver remembers on disk. A record is written and synced before the side effect that its phase announces.
namespace skerry::container::oci {

//  kCreating ─► kCreated ─► kStarting ─► kRunning ─► kExited
//      │            └──────────────┴─(not executable)──► kExited ("StartError")
//      └─ found at start-up: undone
enum class Phase : std::uint8_t { kCreating, kCreated, kStarting, kRunning, kExited };

struct SandboxRecord {
  SandboxSpec spec;
  bool complete = false;        // false: being made or being removed; found at start-up: removed
  std::int64_t created_ns = 0;
  std::string boot_id;
};

struct ContainerRecord {
  ContainerSpec spec;           // spec.image is the image's id
  Phase phase = Phase::kCreating;
  std::string image_digest, boot_id, cgroup;
  int stop_signal = 15;
  int pid = 0;
  std::uint64_t pid_start = 0;  // field 22 of /proc/<pid>/stat: tells a recycled pid
  int monitor_pid = 0;
  std::uint64_t monitor_start = 0;
  int exit_code = 0;
  std::string reason, message;
  std::int64_t created_ns = 0, started_ns = 0, finished_ns = 0;
};

std::string Encode(const SandboxRecord& record);
std::string Encode(const ContainerRecord& record);
Result<SandboxRecord> DecodeSandbox(const std::string& text);        // kCorruption
Result<ContainerRecord> DecodeContainer(const std::string& text);

std::int64_t ToNs(Clock::Wall t);
Clock::Wall FromNs(std::int64_t ns);

}  // namespace skerry::container::oci
