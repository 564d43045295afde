#pragma once
#include <map>

#include "store/engine/backend.h"
#include "store/mvcc/state.h"

// One commit group before it is written: every batch judged against the store and the batches before it.
namespace skerry::store {

class Stage {
 public:
  // `next` is the first revision to give out. The state must not change while the stage lives (the commit thread owns it).
  Stage(const Shared& shared, Revision next) : shared_(shared), next_(next) {}

  // Expectations, then operations. `low_space` (may be null) is the answer for a batch that may not use the space kept back.
  Result<Outcome> Add(const Batch& batch, const Error* low_space);

  // The new commits, oldest first, with the times they carry in the history.
  std::vector<Commit> TakeCommits(const Clock& clock);
  // What the commits mean for the backend: entries, and a log record where `logged` says so. Volatile keys leave no trace there.
  static void Encode(const Shared& shared, const std::vector<Commit>& commits, std::map<std::string, std::optional<std::string>>* writes);
  Revision next() const { return next_; }

 private:
  std::optional<Version> Look(std::string_view key) const;
  bool Holds(const Batch::Expect& expect, Outcome* outcome) const;
  std::vector<Event> Changes(const Batch& batch) const;
  Revision NewestNamed(const Batch& batch) const;

  const Shared& shared_;
  Revision next_;
  std::map<std::string, std::optional<Version>, std::less<>> staged_;
  std::vector<std::pair<Revision, std::vector<Event>>> commits_;
};

}  // namespace skerry::store
