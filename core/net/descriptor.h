#pragma once
#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "core/base/unique_fd.h"
#include "core/net/stream.h"
#include "core/net/task.h"

// Inside core/net only: what the streams over a descriptor share.
namespace skerry::net {

// A non-blocking descriptor on its shard, with the two deadlines of a Stream. One timer serves both directions and is
// re-armed lazily: moving a deadline further away costs a store.
class Descriptor : public std::enable_shared_from_this<Descriptor> {
 public:
  enum class Direction : std::uint8_t { kRead, kWrite };
  using TimePoint = Stream::TimePoint;

  static Result<std::shared_ptr<Descriptor>> Create(const boost::asio::any_io_executor& executor, UniqueFd fd);
  explicit Descriptor(const boost::asio::any_io_executor& executor) : descriptor_(executor), timer_(executor) {}

  int fd() { return descriptor_.native_handle(); }
  bool is_socket() const { return is_socket_; }
  bool is_aborted() const { return aborted_; }
  Result<void> Check(Direction direction) const;      // kCancelled or kTimeout when an operation may not go on
  Task<Result<void>> Wait(Direction direction);       // until the descriptor may be ready: try again then
  Task<void> Breathe(unsigned operations = 1);        // lets others run after many operations that did not wait
  void SetDeadline(Direction direction, TimePoint deadline);
  void Abort() noexcept;                              // any thread
  void Close() noexcept;

  // As recv and send; EAGAIN is -1 with errno.
  ssize_t ReadSome(void* into, std::size_t size);
  // kMore: another write follows at once, so that the kernel may wait to fill its segments.
  enum class Follow : std::uint8_t { kNothing, kMore };
  ssize_t WriteSome(const void* from, std::size_t size, Follow follow = Follow::kNothing);
  bool Quiet();

 private:
  struct Half {
    TimePoint deadline = TimePoint::max();
    bool waiting = false;
  };
  void Arm();
  void OnTimer();

  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer timer_;
  TimePoint armed_ = TimePoint::max();
  Half halves_[2];
  bool is_socket_ = false, aborted_ = false;
  unsigned busy_ = 0;
};

// Reads and writes the descriptor as it is.
class FdStream final : public Stream {
 public:
  FdStream(std::shared_ptr<Descriptor> descriptor, ConnectionInfo info) : descriptor_(std::move(descriptor)), info_(std::move(info)) {}
  ~FdStream() override {
    if (descriptor_) descriptor_->Close();
  }
  Task<Result<std::size_t>> Read(std::span<std::byte> into) override;
  Task<Result<void>> Write(std::string_view bytes) override;
  std::size_t WriteAtOnce(std::string_view bytes) override;
  Task<Result<std::int64_t>> WriteFile(int file, std::int64_t offset, std::int64_t length) override;
  Task<Result<void>> CloseWrite() override;
  void ReadExpiresAt(TimePoint deadline) override { descriptor_->SetDeadline(Descriptor::Direction::kRead, deadline); }
  void WriteExpiresAt(TimePoint deadline) override { descriptor_->SetDeadline(Descriptor::Direction::kWrite, deadline); }
  void Abort() noexcept override { descriptor_->Abort(); }
  const ConnectionInfo& info() const override { return info_; }
  bool Quiet() override { return descriptor_->Quiet(); }
  void ExpectSilence() override { wait_first_ = true; }

  std::shared_ptr<Descriptor> TakeDescriptor() { return std::move(descriptor_); }   // the stream is unusable afterwards

 private:
  std::shared_ptr<Descriptor> descriptor_;
  const ConnectionInfo info_;
  bool wait_first_ = false;
};

}  // namespace skerry::net
