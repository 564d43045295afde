#pragma once
#include <memory>
#include <string>

#include "cmd/skerry/options.h"
#include "core/base/thread_pool.h"
#include "core/net/shard.h"
#include "store/store.h"

// What verbs ask of the process that runs, over "<run>/admin.sock": a Unix socket of mode 0600, so that only its owner gets in.
//   POST /backup, body: absolute directory   copies state and keys there while requests go on
namespace skerry::cmd {

class AdminServer {
 public:
  virtual ~AdminServer() = default;   // Stop()
  virtual void Stop() noexcept = 0;
  // All arguments outlive it.
  static Result<std::unique_ptr<AdminServer>> Start(const Options& options, store::Store& store, net::Shards& shards, WorkerPool& workers, ElasticPool& elastic);
};

// Makes `to`, which must not exist, a backup of an open store and the keys beside it; returns the revision. Nothing is left of a failed one.
Result<store::Revision> WriteBackup(store::Store& store, const std::string& data_dir, const std::string& to);

// Asks the running instance for the same. kUnavailable: it does not answer.
Result<std::string> RequestBackup(const Options& options, const std::string& to);

// A copy of a directory with what is in it, synced.
Result<> CopyTree(const std::string& from, const std::string& to);

}  // namespace skerry::cmd
