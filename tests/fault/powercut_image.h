#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "tests/fault/powercut_fs.h"

namespace skerry::fault_test {

using Inode = std::uint64_t;
inline constexpr Inode kRoot = 1;

// The two images behind PowercutFs. Errors are negative errno values, as FUSE wants them. Not thread-safe.
class Image {
 public:
  using NameChange = std::map<std::string, Inode>;   // 0 = removed; a rename inside a directory is one change of two names
  struct Node {
    bool directory = false;
    unsigned mode = 0644;
    std::string data;                       // live content
    std::map<std::string, Inode> names;     // live names
    std::string durable_data;
    std::map<std::string, Inode> durable_names;
    std::vector<NameChange> unsynced_names; // oldest first
    std::size_t dirty_from = SIZE_MAX, dirty_to = 0;   // where data and durable_data may differ
  };

  Image();
  int Find(const std::string& path, Inode* out) const;
  Node& at(Inode inode) { return nodes_.at(inode); }
  int Create(const std::string& path, bool directory, unsigned mode, Inode* out);
  int Remove(const std::string& path, bool directory);
  int Rename(const std::string& from, const std::string& to, bool may_replace);
  int Link(const std::string& from, const std::string& to);
  void Write(Inode inode, std::size_t offset, const char* bytes, std::size_t size);
  void Resize(Inode inode, std::size_t size);
  void Sync(Inode inode);
  void Cut(CutMode mode, Random& random);

 private:
  void Change(Inode directory, NameChange change);
  int Parent(const std::string& path, Inode* parent, std::string* name) const;
  void KeepSomeData(Node& node, Random& random);
  void KeepSomeNames(Node& node, Random& random);

  std::map<Inode, Node> nodes_;
  Inode next_ = kRoot + 1;
};

}  // namespace skerry::fault_test
