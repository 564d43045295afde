#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/store.h"

// What a writer process said before it died, and whether a store agrees with it. The lines of the pipe, each written at once:
//   S writer seq p|d key     about to put (value: ValueOf(writer, seq)) or delete the key; only this writer writes it
//   A writer seq revision    answered; revision 0 = nothing changed
//   I                        about to increment the shared counter          J / K            incremented / not incremented
//   E                        a write was refused with an error: this writer stops, what it was about may or may not happen
//   V revision               a volatile write was answered
//   W revision p|d key crc   seen by a watch of /w/, durable keys only      P position       the watch's position
namespace skerry::fault_test {

std::string ValueOf(int writer, int sequence);
inline constexpr char kPrefix[] = "/w/";
inline constexpr char kCounter[] = "/w/counter";

class Ledger {
 public:
  void StartRun();
  void Line(std::string_view line);
  // After a reopen. Adds what is wrong to failures(), then takes the store's state as the truth.
  void Check(store::Store& store);
  store::Revision position() const { return position_; }
  const std::vector<std::string>& failures() const { return failures_; }
  bool refused() const { return refused_; }   // in this run
  std::size_t acknowledged() const { return acknowledged_; }

 private:
  using Content = std::optional<std::string>;   // nullopt = absent
  struct Write {
    std::string key;
    Content content;
  };
  struct KeyState {
    Content acknowledged;
    std::map<std::pair<int, int>, Content> in_flight;
  };

  void Fail(std::string what);
  void ForgetBeyond();
  void NoteRevision(store::Revision revision);
  void CheckKeys(const std::map<std::string, std::string>& actual);
  void CheckCounter(const std::map<std::string, std::string>& actual);
  void CheckWatch(store::Store& store, const std::map<std::string, std::string>& actual);
  void Replay(store::Revision revision, bool deleted, const std::string& key, std::uint32_t crc);

  std::map<std::string, KeyState> keys_;
  std::map<std::pair<int, int>, Write> pending_;   // per (writer, seq)
  std::int64_t counter_ = 0, counter_in_flight_ = 0;
  std::set<store::Revision> revisions_;            // of all answers, volatile ones included
  store::Revision newest_before_run_ = 0, newest_ = 0;
  bool first_of_run_ = false, refused_ = false;
  // The watch: what it said up to position_, and what it said beyond.
  store::Revision position_ = 1, replayed_ = 0;
  std::set<std::string> replayed_keys_;            // of the revision replayed_
  std::map<std::string, std::uint32_t> replica_;
  std::vector<std::string> beyond_;                // "revision op key crc" seen after the last position, in order
  std::set<std::string> expected_;                 // the same of runs that were killed: a watch from the position must say it again
  std::vector<std::string> failures_;
  std::size_t acknowledged_ = 0;
};

}  // namespace skerry::fault_test
