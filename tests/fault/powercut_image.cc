#include "tests/fault/powercut_image.h"

#include <algorithm>
#include <cerrno>

#include "core/base/strings.h"

namespace skerry::fault_test {
namespace {
constexpr std::size_t kBlock = 4096;
}  // namespace

Image::Image() {
  Node& root = nodes_[kRoot];
  root.directory = true;
  root.mode = 0755;
}

void Image::Change(Inode directory, NameChange change) {
  Node& node = nodes_.at(directory);
  for (const auto& [name, inode] : change) {
    if (inode == 0) node.names.erase(name);
    if (inode != 0) node.names[name] = inode;
  }
  node.unsynced_names.push_back(std::move(change));
}

int Image::Find(const std::string& path, Inode* out) const {
  Inode at = kRoot;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty()) continue;
    const Node& node = nodes_.at(at);
    if (!node.directory) return -ENOTDIR;
    const auto it = node.names.find(std::string(part));
    if (it == node.names.end()) return -ENOENT;
    at = it->second;
  }
  *out = at;
  return 0;
}

int Image::Parent(const std::string& path, Inode* parent, std::string* name) const {
  const std::size_t slash = path.rfind('/');
  *name = path.substr(slash + 1);
  return Find(path.substr(0, slash), parent);
}

int Image::Create(const std::string& path, bool directory, unsigned mode, Inode* out) {
  Inode parent;
  std::string name;
  if (const int error = Parent(path, &parent, &name)) return error;
  if (nodes_.at(parent).names.contains(name)) return -EEXIST;
  const Inode inode = next_++;
  nodes_[inode].directory = directory;
  nodes_[inode].mode = mode;
  Change(parent, {{name, inode}});
  if (out) *out = inode;
  return 0;
}

int Image::Remove(const std::string& path, bool directory) {
  Inode parent, inode;
  std::string name;
  if (const int error = Parent(path, &parent, &name)) return error;
  if (const int error = Find(path, &inode)) return error;
  if (nodes_.at(inode).directory != directory) return directory ? -ENOTDIR : -EISDIR;
  if (directory && !nodes_.at(inode).names.empty()) return -ENOTEMPTY;
  Change(parent, {{name, 0}});   // the node stays: it may be durable, or open
  return 0;
}

int Image::Rename(const std::string& from, const std::string& to, bool may_replace) {
  Inode source, from_parent, to_parent;
  std::string from_name, to_name;
  if (const int error = Find(from, &source)) return error;
  if (const int error = Parent(from, &from_parent, &from_name)) return error;
  if (const int error = Parent(to, &to_parent, &to_name)) return error;
  if (!may_replace && nodes_.at(to_parent).names.contains(to_name)) return -EEXIST;
  if (from_parent == to_parent && from_name != to_name) {
    Change(to_parent, {{to_name, source}, {from_name, 0}});
  } else if (from_parent != to_parent) {
    Change(to_parent, {{to_name, source}});
    Change(from_parent, {{from_name, 0}});
  }
  return 0;
}

int Image::Link(const std::string& from, const std::string& to) {
  Inode source, parent;
  std::string name;
  if (const int error = Find(from, &source)) return error;
  if (const int error = Parent(to, &parent, &name)) return error;
  if (nodes_.at(parent).names.contains(name)) return -EEXIST;
  Change(parent, {{name, source}});
  return 0;
}

void Image::Write(Inode inode, std::size_t offset, const char* bytes, std::size_t size) {
  Node& node = nodes_.at(inode);
  node.dirty_from = std::min(node.dirty_from, std::min(offset, node.data.size()));
  if (node.data.size() < offset + size) node.data.resize(offset + size);
  node.data.replace(offset, size, bytes, size);
  node.dirty_to = std::max(node.dirty_to, offset + size);
}

void Image::Resize(Inode inode, std::size_t size) {
  Node& node = nodes_.at(inode);
  const std::size_t before = node.data.size();
  node.data.resize(size);
  node.dirty_from = std::min({node.dirty_from, size, before});
  node.dirty_to = std::max({node.dirty_to, size, before});
}

void Image::Sync(Inode inode) {
  Node& node = nodes_.at(inode);
  if (node.directory) {
    node.durable_names = node.names;
    node.unsynced_names.clear();
    return;
  }
  node.durable_data.resize(node.data.size());
  if (node.dirty_from < node.dirty_to && node.dirty_from < node.data.size()) {
    const std::size_t size = std::min(node.dirty_to, node.data.size()) - node.dirty_from;
    node.durable_data.replace(node.dirty_from, size, node.data, node.dirty_from, size);
  }
  node.dirty_from = SIZE_MAX;
  node.dirty_to = 0;
}

void Image::KeepSomeData(Node& node, Random& random) {
  if (node.dirty_from >= node.dirty_to) return;
  const std::size_t size = node.data.size();
  // The length may get ahead of the content, which then reads as zeros.
  if (size > node.durable_data.size() && random.Below(2))
    node.durable_data.resize(node.durable_data.size() + random.Below(size - node.durable_data.size() + 1));
  for (std::size_t at = node.dirty_from / kBlock * kBlock; at < std::min(node.dirty_to, node.durable_data.size()); at += kBlock) {
    if (at >= size || random.Below(2)) continue;
    const std::size_t n = std::min({kBlock, size - at, node.durable_data.size() - at});
    node.durable_data.replace(at, n, node.data, at, n);
  }
}

// File systems with a journal write the changes of a directory in their order: any number of the first ones may be there.
void Image::KeepSomeNames(Node& node, Random& random) {
  const std::uint64_t kept = random.Below(node.unsynced_names.size() + 1);
  for (std::uint64_t i = 0; i < kept; ++i) {
    for (const auto& [name, inode] : node.unsynced_names[i]) {
      if (inode == 0) node.durable_names.erase(name);
      if (inode != 0) node.durable_names[name] = inode;
    }
  }
}

void Image::Cut(CutMode mode, Random& random) {
  std::map<Inode, Node> after;
  std::vector<Inode> todo{kRoot};
  while (!todo.empty()) {
    const Inode inode = todo.back();
    todo.pop_back();
    if (after.contains(inode)) continue;
    Node& node = nodes_.at(inode);
    if (mode == CutMode::kKeepSome && node.directory) KeepSomeNames(node, random);
    if (mode == CutMode::kKeepSome && !node.directory) KeepSomeData(node, random);
    Node& kept = after[inode];
    kept.directory = node.directory;
    kept.mode = node.mode;
    kept.names = kept.durable_names = node.durable_names;
    kept.data = kept.durable_data = node.durable_data;
    for (const auto& [name, child] : kept.names) todo.push_back(child);
  }
  nodes_ = std::move(after);
}

}  // namespace skerry::fault_test
