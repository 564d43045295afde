#pragma once
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/strings.h"
#include "core/process/child.h"

// Programs that tests run: fixed arguments, no shell.
namespace skerry::test {

// Splits at blanks; '…' keeps them.
inline std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> out;
  bool quoted = false, inside = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      if (!std::exchange(inside, true)) out.emplace_back();
    } else if (c == ' ' && !quoted) {
      inside = false;
    } else {
      if (!std::exchange(inside, true)) out.emplace_back();
      out.back() += c;
    }
  }
  return out;
}

// What the program prints, errors last; "[exit N]" behind when it fails. With `netns`: inside that network namespace.
inline std::string RunText(std::string_view line, const std::string& netns = {}) {
  process::Command command;
  command.argv = Words(line);
  auto program = process::FindProgram(command.argv.at(0));
  if (!program) return std::string(program.error().message());
  command.argv[0] = std::move(*program);
  command.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  command.netns_path = netns;
  const auto ran = process::Run(Ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(60)), std::move(command), {}, 64 << 20);
  if (!ran) return Cat("[", ran.error().message(), "]");
  std::string out = ran->out + ran->err;
  if (ran->exit_code != 0) out += Cat("[exit ", ran->exit_code, "]");
  return out;
}

}  // namespace skerry::test
