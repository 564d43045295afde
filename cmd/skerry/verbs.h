#pragma once
#include <string>
#include <vector>

#include "cmd/skerry/options.h"

// One function per verb; each lives in a file of its own name and returns the exit code.
namespace skerry::cmd {

int RunStart(const std::vector<std::string>& args);
int RunStop(const std::vector<std::string>& args);
int RunStatus(const std::vector<std::string>& args);
int RunVersion(const std::vector<std::string>& args);
int RunKubeconfig(const std::vector<std::string>& args);
int RunConsole(const std::vector<std::string>& args);
int RunToken(const std::vector<std::string>& args);
int RunBackup(const std::vector<std::string>& args);
int RunRestore(const std::vector<std::string>& args);
int RunDev(const std::vector<std::string>& args);
int RunUninstall(const std::vector<std::string>& args);

// Prints "skerry: <message>" on stderr and gives the exit code that fits the error.
int Report(const Error& error);
int ReportUsage(const Error& error);

// "https://127.0.0.1:6443/console/#k=CODE": a fragment is sent to nobody and stays out of logs.
std::string LoginLink(const std::string& server, const std::string& code);

inline constexpr const char* kVersion = "0.1.0";
inline constexpr const char* kKubernetesVersion = "v1.36.0+skerry";

}  // namespace skerry::cmd
