#include "tests/bench/load_process.h"

#include <dirent.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

namespace skerry::bench {
namespace {

struct Stat {
  pid_t parent = 0;
  std::int64_t ticks = 0, reaped = 0;
};

// proc(5): the name in parentheses may hold anything, what follows is separated by spaces; state is field 3.
bool ReadStat(const std::string& pid, Stat* stat) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::vector<std::string> f;
  for (std::string word; fields >> word;) f.push_back(word);
  if (f.size() < 15) return false;
  stat->parent = std::atoi(f[1].c_str());
  stat->ticks = std::atoll(f[11].c_str()) + std::atoll(f[12].c_str());
  stat->reaped = std::atoll(f[13].c_str()) + std::atoll(f[14].c_str());
  return true;
}

}  // namespace

double CpuSeconds(pid_t pid) {
  if (pid == 0) return 0;
  std::map<pid_t, Stat> all;
  DIR* proc = ::opendir("/proc");
  if (!proc) return 0;
  while (const dirent* entry = ::readdir(proc)) {
    const pid_t id = std::atoi(entry->d_name);
    Stat stat;
    if (id > 0 && ReadStat(entry->d_name, &stat)) all.emplace(id, stat);
  }
  ::closedir(proc);
  std::int64_t ticks = 0;
  for (const auto& [id, stat] : all) {
    pid_t up = id;
    while (up != pid && all.contains(up)) up = all[up].parent;
    if (up == pid) ticks += stat.ticks + stat.reaped;
  }
  return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::int64_t ResidentKib(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace skerry::bench
