#include "core/netlink/ruleset.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cerrno>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::netlink {
namespace {

Result<UniqueFd> MemoryFile(const char* name, const std::string& content) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "create memory file"));
  TRY_VOID(WriteAll(fd.get(), content));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string FirstLine(int fd) {
  std::string out(4096, '\0');
  const ssize_t n = ::pread(fd, out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return std::string(Trim(std::string_view(out).substr(0, out.find('\n'))));
}

}  // namespace

Result<> LoadRuleset(const std::string& text) {
  // Memory files instead of pipes: nothing to pump, no deadlock on large texts.
  TRY(const UniqueFd input, MemoryFile("nft-input", text));
  TRY(const UniqueFd output, MemoryFile("nft-output", ""));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, output.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, output.get(), 2);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char program[] = "nft", option[] = "-f", from[] = "-", path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
  char* const arguments[] = {program, option, from, nullptr};
  char* const environment[] = {path, locale, nullptr};
  pid_t child = 0;
  int rc = ENOENT;
  for (const char* file : {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}) {
    rc = ::posix_spawn(&child, file, &actions, &attributes, arguments, environment);
    if (rc != ENOENT) break;
  }
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (rc == ENOENT) return Fail(Code::kUnavailable, "nft is not installed (package nftables)");
  if (rc != 0) return std::unexpected(ErrnoError(rc, "start nft"));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::unexpected(ErrnoError(errno, "wait for nft"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Fail(Code::kInvalid, "nft: " + FirstLine(output.get()));
}

}  // namespace skerry::netlink
