#include <filesystem>
#include <iostream>

#include "cmd/skerry/instance.h"
#include "cmd/skerry/verbs.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "store/store.h"

namespace skerry::cmd {
namespace {

// "--to DIR" or "--from DIR" is taken out of the arguments; the rest are common flags.
Result<std::string> TakeDirectory(std::vector<std::string>& args, const std::string& flag) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i].starts_with("--" + flag + "=")) {
      std::string value = args[i].substr(flag.size() + 3);
      args.erase(args.begin() + static_cast<std::ptrdiff_t>(i));
      return value;
    }
    if (args[i] == "--" + flag && i + 1 < args.size()) {
      std::string value = args[i + 1];
      args.erase(args.begin() + static_cast<std::ptrdiff_t>(i), args.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      return value;
    }
  }
  return Fail(Code::kInvalid, Cat("--", flag, " DIR is needed"));
}

Result<> CopyTree(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
  if (error) return Fail(Code::kUnavailable, Cat("copy ", from, " to ", to, ": ", error.message()));
  return {};
}

}  // namespace

int RunBackup(const std::vector<std::string>& given) {
  std::vector<std::string> args = given;
  auto to = TakeDirectory(args, "to");
  if (!to) return ReportUsage(to.error());
  const auto options = ParseOptions(args);
  if (!options) return ReportUsage(options.error());
  if (std::filesystem::exists(*to)) return Report(Error(Code::kInvalid, Cat(*to, " exists; a backup goes to a new directory")));
  if (RunningInstance(options->data_dir)) {
    return Report(Error(Code::kAlreadyExists, "the appliance runs; stop it first (`skerry stop`; pods go on), back up, start it again"));
  }
  if (auto r = MakeDirectories(*to, 0700); !r) return Report(r.error());
  store::Options so;
  so.directory = options->data_dir + "/state";
  auto store = store::OpenRocksStore(so);
  if (!store) return Report(store.error());
  if (auto r = (*store)->Checkpoint(*to + "/state"); !r) return Report(r.error());
  if (auto r = CopyTree(options->data_dir + "/pki", *to + "/pki"); !r) return Report(r.error());
  std::cout << "backed up " << options->data_dir << " at revision " << (*store)->current() << " to " << *to << "\n";
  return kExitOk;
}

int RunRestore(const std::vector<std::string>& given) {
  std::vector<std::string> args = given;
  auto from = TakeDirectory(args, "from");
  if (!from) return ReportUsage(from.error());
  const auto options = ParseOptions(args);
  if (!options) return ReportUsage(options.error());
  if (RunningInstance(options->data_dir)) return Report(Error(Code::kAlreadyExists, "the appliance runs; stop it first with `skerry stop`"));
  if (!std::filesystem::exists(*from + "/state")) return Report(Error(Code::kNotFound, Cat(*from, " holds no backup (no \"state\" in it)")));
  {
    store::Options so;
    so.directory = *from + "/state";
    if (auto store = store::OpenRocksStore(so); !store) return Report(store.error());   // verified before anything is replaced
  }
  if (auto r = MakeDirectories(options->data_dir, 0755); !r) return Report(r.error());
  std::error_code error;
  for (const char* part : {"state", "pki"}) {
    const std::string now = options->data_dir + "/" + part, next = now + ".restored", old = now + ".before-restore";
    std::filesystem::remove_all(next, error);
    if (auto r = CopyTree(*from + "/" + part, next); !r) return Report(r.error());
    std::filesystem::remove_all(old, error);
    if (std::filesystem::exists(now)) std::filesystem::rename(now, old, error);
    if (!error) std::filesystem::rename(next, now, error);
    if (error) return Report(Error(Code::kUnavailable, Cat("restore ", now, ": ", error.message())));
  }
  for (const char* part : {"state", "pki"}) std::filesystem::remove_all(options->data_dir + "/" + part + ".before-restore", error);
  std::cout << "restored " << options->data_dir << " from " << *from << "\n";
  return kExitOk;
}

}  // namespace skerry::cmd
