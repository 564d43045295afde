#define FUSE_USE_VERSION 31
#include "tests/fault/powercut_fs.h"

#include <fuse3/fuse.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "tests/fault/powercut_image.h"

namespace skerry::fault_test {
namespace {

struct CutRequest {
  CutMode mode;
  std::uint64_t seed;
  int at_sync;   // 0 = now
};

struct Disk {
  Image image;
  CutRequest armed{};   // at_sync > 0: counts down with every sync
  bool off = false;     // the power is gone; nothing works until the request to cut arrives
};

Guarded<Disk>& TheDisk() {
  static Guarded<Disk> disk;
  return disk;
}
int control_fd = -1;   // of the file system's process

void FillStat(Image& image, Inode inode, struct stat* st) {
  const Image::Node& node = image.at(inode);
  std::memset(st, 0, sizeof *st);
  st->st_ino = inode;
  st->st_mode = (node.directory ? S_IFDIR : S_IFREG) | node.mode;
  st->st_nlink = node.directory ? 2 : 1;
  st->st_size = static_cast<off_t>(node.data.size());
  st->st_blocks = static_cast<blkcnt_t>((node.data.size() + 511) / 512);
  st->st_blksize = 4096;
}

int GetAttr(const char* path, struct stat* st, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  Inode inode = file ? file->fh : 0;
  if (inode == 0) {
    if (const int error = image->Find(path, &inode)) return error;
  }
  FillStat(*image, inode, st);
  return 0;
}

int MakeDirectory(const char* path, mode_t mode) {
  auto disk = TheDisk().Lock();
  return disk->off ? -EIO : disk->image.Create(path, true, mode & 07777, nullptr);
}
int Unlink(const char* path) {
  auto disk = TheDisk().Lock();
  return disk->off ? -EIO : disk->image.Remove(path, false);
}
int RemoveDirectory(const char* path) {
  auto disk = TheDisk().Lock();
  return disk->off ? -EIO : disk->image.Remove(path, true);
}
int HardLink(const char* from, const char* to) {
  auto disk = TheDisk().Lock();
  return disk->off ? -EIO : disk->image.Link(from, to);
}

int Rename(const char* from, const char* to, unsigned flags) {
  if (flags > 1) return -EINVAL;   // only RENAME_NOREPLACE
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  return image->Rename(from, to, flags == 0);
}

int ChangeMode(const char* path, mode_t mode, fuse_file_info*) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  Inode inode;
  if (const int error = image->Find(path, &inode)) return error;
  image->at(inode).mode = mode & 07777;
  return 0;
}

int ChangeOwner(const char*, uid_t, gid_t, fuse_file_info*) { return 0; }
int SetTimes(const char*, const struct timespec[2], fuse_file_info*) { return 0; }

int Open(const char* path, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  Inode inode;
  if (const int error = image->Find(path, &inode)) return error;
  if (file->flags & O_TRUNC) image->Resize(inode, 0);
  file->fh = inode;
  return 0;
}

int CreateFile(const char* path, mode_t mode, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  Inode inode;
  const int error = image->Create(path, false, mode & 07777, &inode);
  file->fh = inode;
  return error;
}

int Read(const char*, char* buffer, size_t size, off_t offset, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  const std::string& data = image->at(file->fh).data;
  const auto from = static_cast<std::size_t>(offset);
  return from >= data.size() ? 0 : static_cast<int>(data.copy(buffer, size, from));
}

int Write(const char*, const char* buffer, size_t size, off_t offset, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  image->Write(file->fh, static_cast<std::size_t>(offset), buffer, size);
  return static_cast<int>(size);
}

int Truncate(const char* path, off_t size, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  Inode inode = file ? file->fh : 0;
  if (inode == 0) {
    if (const int error = image->Find(path, &inode)) return error;
  }
  image->Resize(inode, static_cast<std::size_t>(size));
  return 0;
}

int Allocate(const char*, int mode, off_t offset, off_t length, fuse_file_info* file) {
  if (mode == FALLOC_FL_KEEP_SIZE) return 0;
  if (mode != 0) return -EOPNOTSUPP;
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  const auto end = static_cast<std::size_t>(offset + length);
  if (image->at(file->fh).data.size() < end) image->Resize(file->fh, end);
  return 0;
}

int Sync(const char*, int, fuse_file_info* file) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  if (disk->armed.at_sync > 0 && --disk->armed.at_sync == 0) {
    SeededRandom random(disk->armed.seed);
    disk->image.Cut(disk->armed.mode, random);
    disk->off = true;
    return -EIO;
  }
  disk->image.Sync(file->fh);
  return 0;
}

int ReadDirectory(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info* file, fuse_readdir_flags) {
  auto disk = TheDisk().Lock();
  if (disk->off) return -EIO;
  Image* const image = &disk->image;
  const auto none = static_cast<fuse_fill_dir_flags>(0);
  fill(buffer, ".", nullptr, 0, none);
  fill(buffer, "..", nullptr, 0, none);
  for (const auto& [name, inode] : image->at(file->fh).names) fill(buffer, name.c_str(), nullptr, 0, none);
  return 0;
}

int StatFs(const char*, struct statvfs* st) {
  std::memset(st, 0, sizeof *st);
  st->f_bsize = st->f_frsize = 4096;
  st->f_blocks = st->f_bfree = st->f_bavail = 1 << 20;
  st->f_namemax = 255;
  return 0;
}

void* Init(fuse_conn_info*, fuse_config* config) {
  // The kernel must not remember what a cut takes away.
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  config->hard_remove = 1;
  config->nullpath_ok = 1;
  static_cast<void>(!::write(control_fd, "r", 1));
  return nullptr;
}

void ServeControl(const std::string& mountpoint) {
  CutRequest request;
  while (::read(control_fd, &request, sizeof request) == sizeof request) {
    {
      auto disk = TheDisk().Lock();
      disk->armed = request;
      if (request.at_sync == 0) {
        SeededRandom random(request.seed);
        if (!disk->off) disk->image.Cut(request.mode, random);
        disk->off = false;
      }
    }
    static_cast<void>(!::write(control_fd, "c", 1));
  }
  ::umount2(mountpoint.c_str(), MNT_DETACH);   // the test is gone, however it ended
}

[[noreturn]] void Serve(const std::string& mountpoint, int control) {
  control_fd = control;
  fuse_operations ops = {};
  ops.getattr = GetAttr;
  ops.mkdir = MakeDirectory;
  ops.unlink = Unlink;
  ops.rmdir = RemoveDirectory;
  ops.rename = Rename;
  ops.link = HardLink;
  ops.chmod = ChangeMode;
  ops.chown = ChangeOwner;
  ops.utimens = SetTimes;
  ops.open = Open;
  ops.opendir = Open;
  ops.create = CreateFile;
  ops.read = Read;
  ops.write = Write;
  ops.truncate = Truncate;
  ops.fallocate = Allocate;
  ops.fsync = Sync;
  ops.fsyncdir = Sync;
  ops.readdir = ReadDirectory;
  ops.statfs = StatFs;
  ops.init = Init;
  std::thread controller(ServeControl, mountpoint);
  std::string name = "skerry_powercut_fs", foreground = "-f", single = "-s", where = mountpoint;
  char* argv[] = {name.data(), foreground.data(), single.data(), where.data(), nullptr};
  const int code = ::fuse_main(4, argv, &ops, nullptr);
  ::shutdown(control_fd, SHUT_RDWR);
  controller.join();
  ::_exit(code);
}

bool ReadByte(int fd, char want) {
  pollfd p{fd, POLLIN, 0};
  char got = 0;
  return ::poll(&p, 1, 30'000) == 1 && ::read(fd, &got, 1) == 1 && got == want;
}

}  // namespace

Result<PowercutFs> PowercutFs::Mount(const std::string& mountpoint) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return std::unexpected(ErrnoError(errno, "socketpair"));
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(ErrnoError(errno, "fork"));
  if (pid == 0) {
    ours.Reset();
    Serve(mountpoint, theirs.Release());
  }
  theirs.Reset();
  PowercutFs fs(mountpoint, pid, std::move(ours));
  if (!ReadByte(fs.control_.get(), 'r')) return Fail(Code::kUnavailable, "the power cut file system did not mount at " + mountpoint);
  return fs;
}

PowercutFs::PowercutFs(PowercutFs&& other) noexcept
    : mountpoint_(std::move(other.mountpoint_)), pid_(std::exchange(other.pid_, -1)), control_(std::move(other.control_)) {}

PowercutFs::~PowercutFs() {
  if (pid_ < 0) return;
  ::umount2(mountpoint_.c_str(), MNT_DETACH);
  control_.Reset();
  ::waitpid(pid_, nullptr, 0);
}

Result<> PowercutFs::Send(CutMode mode, std::uint64_t seed, int at_sync) {
  const CutRequest request{mode, seed, at_sync};
  if (::write(control_.get(), &request, sizeof request) != sizeof request) return std::unexpected(ErrnoError(errno, "power cut"));
  if (!ReadByte(control_.get(), 'c')) return Fail(Code::kInternal, "the power cut file system does not answer");
  return {};
}

}  // namespace skerry::fault_test
