#include <rocksdb/file_checksum.h>
#include <rocksdb/file_system.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>

#include <cstdlib>
#include <memory>

// What RocksDB can do and this store never asks for. Each of these is the one name by which the library's archive brings in a part:
// transactions (a third of a megabyte), compaction by another process, encryption of files (ours seals records instead), and what a text may
// name: other formats of tables, merges, statistics, checksums of whole files. Defined here, the parts stay out of the binary. Of the classes
// without a header only the one function is known here; a version of the library that wants more of a part does not link.
namespace rocksdb {

class EncryptionProvider;
class SubcompactionState;

class DisableGCSnapshotChecker {
 public:
  static DisableGCSnapshotChecker* Instance();   // asked for by databases of prepared transactions alone
};
DisableGCSnapshotChecker* DisableGCSnapshotChecker::Instance() { std::abort(); }

class CompactionJob {
 public:
  int ProcessKeyValueCompactionWithCompactionService(SubcompactionState*);   // with DBOptions::compaction_service alone
};
int CompactionJob::ProcessKeyValueCompactionWithCompactionService(SubcompactionState*) { std::abort(); }

Status NewEncryptedFileSystemImpl(const std::shared_ptr<FileSystem>&, const std::shared_ptr<EncryptionProvider>&, std::unique_ptr<FileSystem>*);
Status NewEncryptedFileSystemImpl(const std::shared_ptr<FileSystem>&, const std::shared_ptr<EncryptionProvider>&, std::unique_ptr<FileSystem>*) {
  return Status::NotSupported("encrypted file systems are not part of this program");
}

// Options are read back from text when they have been written down: ours name block-based tables, and none of the rest.
Status TableFactory::CreateFromString(const ConfigOptions&, const std::string& id, std::shared_ptr<TableFactory>* factory) {
  if (id != "BlockBasedTable") return Status::NotSupported("tables of the kind ", id);
  factory->reset(NewBlockBasedTableFactory());
  return Status::OK();
}

namespace {
template <class T>
Status None(const std::string& id, std::shared_ptr<T>* out) {
  if (!id.empty() && id != "nullptr") return Status::NotSupported("not part of this program: ", id);
  out->reset();
  return Status::OK();
}
}  // namespace

Status MergeOperator::CreateFromString(const ConfigOptions&, const std::string& id, std::shared_ptr<MergeOperator>* out) { return None(id, out); }
Status Statistics::CreateFromString(const ConfigOptions&, const std::string& id, std::shared_ptr<Statistics>* out) { return None(id, out); }
Status FileChecksumGenFactory::CreateFromString(const ConfigOptions&, const std::string& id, std::shared_ptr<FileChecksumGenFactory>* out) { return None(id, out); }

}  // namespace rocksdb
