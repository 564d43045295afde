#include "core/base/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/unique_fd.h"

namespace skerry::fault {
namespace {
struct Faults {
  std::map<std::string, Error, std::less<>> armed;
  std::map<std::string, int, std::less<>> passes;
  bool held = false;
};
Guarded<Faults>& State() {
  static Guarded<Faults> state;
  return state;
}
}  // namespace

void SetFault(std::string name, Error error) {
  auto s = State().Lock();
  s->armed.insert_or_assign(std::move(name), std::move(error));
}

#ifdef SKERRY_FAULT_POINTS
namespace {
void Hold(const char* name) {
  const char* env = std::getenv("SKERRY_FAULT_HOLD");
  if (!env) return;
  const std::string_view spec(env);
  const std::size_t colon = spec.find(':');
  if (colon == spec.npos || spec.substr(0, colon) != name) return;
  {
    auto s = State().Lock();
    if (std::exchange(s->held, true)) return;
  }
  const UniqueFd fifo(::open(env + colon + 1, O_RDONLY | O_CLOEXEC));
  char byte;
  while (fifo.get() >= 0 && ::read(fifo.get(), &byte, 1) > 0) {}
}
}  // namespace

Result<> Hit(const char* name) {
  Hold(name);
  auto s = State().Lock();
  if (const char* env = std::getenv("SKERRY_FAULT_POINT")) {
    std::string_view spec(env);
    const std::size_t colon = spec.find(':');
    const int want = colon == std::string_view::npos ? 1 : std::atoi(spec.data() + colon + 1);
    if (spec.substr(0, colon) == name && ++s->passes[name] == want) ::kill(::getpid(), SIGKILL);
  }
  const auto it = s->armed.find(std::string_view(name));
  if (it == s->armed.end()) return {};
  Error e = std::move(it->second);
  s->armed.erase(it);
  return std::unexpected(std::move(e));
}
#endif

}  // namespace skerry::fault
