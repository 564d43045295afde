#include <filesystem>
#include <iostream>

#include "cmd/skerry/admin.h"
#include "cmd/skerry/instance.h"
#include "cmd/skerry/sealing.h"
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

}  // namespace

int RunBackup(const std::vector<std::string>& given) {
  std::vector<std::string> args = given;
  auto to = TakeDirectory(args, "to");
  if (!to) return ReportUsage(to.error());
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  const std::string directory = std::filesystem::absolute(*to).lexically_normal().string();
  std::string revision;
  if (RunningInstance(options->data_dir)) {
    auto done = RequestBackup(*options, directory);
    if (!done) return Report(done.error());
    revision = std::move(*done);
  } else {
    store::Options so;
    so.directory = options->data_dir + "/state";
    std::error_code error;
    if (!std::filesystem::exists(so.directory, error)) return Report(Error(Code::kNotFound, Cat(options->data_dir, " holds no state; start the appliance once or name another --data-dir")));
    auto sealer = LoadSealer(options->data_dir + "/pki", options->encryption_provider_config);
    if (!sealer) return Report(sealer.error());
    auto store = store::OpenSealedStore(so, std::move(*sealer));
    if (!store) return Report(store.error());
    const auto done = WriteBackup(**store, options->data_dir, directory);
    if (!done) return Report(done.error());
    revision = std::to_string(*done);
  }
  std::cout << "backed up " << options->data_dir << " at revision " << revision << " to " << directory << " (state and keys; images of the registry are not in it)\n";
  return kExitOk;
}

int RunRestore(const std::vector<std::string>& given) {
  std::vector<std::string> args = given;
  auto from = TakeDirectory(args, "from");
  if (!from) return ReportUsage(from.error());
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  if (RunningInstance(options->data_dir)) return Report(Error(Code::kAlreadyExists, "the appliance runs; stop it first with `skerry stop`"));
  if (!std::filesystem::exists(*from + "/state")) return Report(Error(Code::kNotFound, Cat(*from, " holds no backup (no \"state\" in it)")));
  {
    store::Options so;
    so.directory = *from + "/state";
    auto sealer = LoadSealer(*from + "/pki", options->encryption_provider_config);
    if (!sealer) return Report(sealer.error());
    if (auto store = store::OpenSealedStore(so, std::move(*sealer)); !store) return Report(store.error());   // verified before anything is replaced
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
