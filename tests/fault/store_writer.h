#pragma once
#include <string>

#include "store/store.h"

namespace skerry::fault_test {

inline constexpr int kSayFd = 3;   // the pipe to the judge
inline constexpr int kCannotOpen = 5;

struct WriterArguments {
  std::string directory;
  store::Revision after = 1;   // where the watch resumes
  int writers = 32;
  int first_sequence = 0;      // sequences are never used twice, over all runs
  bool sync = true;
  std::string fault_point;     // dies there by itself, e.g. "store.commit.before_sync:7"
};

store::Options FaultOptions(const std::string& directory, bool sync);
// Writes until the process is killed, and says on the pipe what it does (see store_ledger.h). Returns only when
// the store does not open (kCannotOpen).
int RunWriters(const WriterArguments& arguments);

}  // namespace skerry::fault_test
