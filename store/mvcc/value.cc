#include "store/value.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/telemetry/log.h"

namespace skerry::store {
namespace {

constexpr std::size_t kLeast = 160, kMost = 4 << 20;   // smaller ones gain nothing, larger ones hold the caller up for too long
constexpr int kLevel = 1;
constexpr std::size_t kSampleBytes = 8 << 10, kSampledBytes = 48 << 10, kLeastSamples = 6, kMostSamples = 24;

// Values resemble each other far more than they repeat themselves: they are compressed against samples of what is there. A dictionary
// lives for ever because values refer to it; a later one takes over when much more has been stored than it could have seen.
struct Dictionary {
  explicit Dictionary(std::string samples) : text(std::move(samples)) {
    LZ4_initStream(&repeats, sizeof repeats);
    LZ4_loadDict(&repeats, text.data(), static_cast<int>(text.size()));
  }
  // Whose turn it is to compress calls it before the first value that needs them.
  void PrepareFrequencies() {
    if (encode) return;
    decode = ZSTD_createDDict(text.data(), text.size());
    encode = ZSTD_createCDict(text.data(), text.size(), kLevel);
  }
  const std::string text;
  ZSTD_CDict* encode = nullptr;
  ZSTD_DDict* decode = nullptr;
  LZ4_stream_t repeats;   // the text seen; copied for each value
};
constexpr std::array<std::size_t, 5> kReplacedAfter = {256 << 10, 2 << 20, 16 << 20, 128 << 20, ~std::size_t{0}};   // bytes compressed in all
std::array<std::atomic<Dictionary*>, kReplacedAfter.size()> dictionaries;

// Contexts are large, and few threads read compressed values at one time.
class Decoders {
 public:
  std::size_t Decode(const Dictionary& dictionary, char* out, std::size_t size, const char* from, std::size_t from_size) {
    Context context = Take();
    const auto n = ZSTD_decompress_usingDDict(context.get(), out, size, from, from_size, dictionary.decode);
    std::lock_guard lock(mutex_);
    if (free_.size() < kKept) free_.push_back(std::move(context));
    return n;
  }

 private:
  static constexpr std::size_t kKept = 4;
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  using Context = std::unique_ptr<ZSTD_DCtx, Free>;
  Context Take() {
    {
      std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        Context context = std::move(free_.back());
        free_.pop_back();
        return context;
      }
    }
    return Context(ZSTD_createDCtx());
  }

  std::mutex mutex_;
  std::vector<Context> free_;   // guarded
};

Decoders& TheDecoders() {
  static Decoders& decoders = *new Decoders();   // lives as long as the threads that use it
  return decoders;
}

std::mutex& StripeOf(const void* cell) {
  static std::array<std::mutex, 64> stripes;
  return stripes[(reinterpret_cast<std::uintptr_t>(cell) >> 5) % stripes.size()];
}

}  // namespace

// Repetitions alone are undone ten times as fast as what is coded by frequency as well; that is for what does not repeat itself.
enum class Codec : std::uint8_t { kRepeats, kFrequencies };   // LZ4, zstd

struct Value::Cell {
  explicit Cell(Bytes bytes) : size(static_cast<std::uint32_t>(bytes.size())), plain(std::move(bytes)) {}
  std::atomic<std::uint32_t> references{1};
  const std::uint32_t size;
  // Guarded by the cell's stripe while `packed` is null; afterwards `plain` is empty and the rest never changes.
  Bytes plain;
  std::unique_ptr<char[]> packed;
  std::uint32_t packed_size = 0;
  std::uint8_t dictionary = 0;
  Codec codec = Codec::kRepeats;
};

Value::Value(Bytes plain) : cell_(plain.empty() ? nullptr : new Cell(std::move(plain))) {}

Value::Value(const Value& other) noexcept : cell_(other.cell_) {
  if (cell_) cell_->references.fetch_add(1, std::memory_order_relaxed);
}

Value::~Value() {
  if (cell_ && cell_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete cell_;
}

std::size_t Value::size() const noexcept { return cell_ ? cell_->size : 0; }

std::size_t Value::resident() const {
  if (!cell_) return 0;
  std::lock_guard lock(StripeOf(cell_));
  return cell_->packed ? cell_->packed_size : cell_->size;
}

Bytes Value::Load() const {
  if (!cell_) return {};
  {
    std::lock_guard lock(StripeOf(cell_));
    if (!cell_->packed) return cell_->plain;
  }
  std::string out;
  out.resize_and_overwrite(cell_->size, [&](char* to, std::size_t size) {
    Unpack(*cell_, to);
    return size;
  });
  return Bytes(std::move(out));
}

std::string_view Value::View(Room& room) const {
  if (!cell_) return {};
  {
    std::lock_guard lock(StripeOf(cell_));
    if (!cell_->packed) {
      room.plain_ = cell_->plain;
      return room.plain_.view();
    }
  }
  room.plain_ = {};
  if (room.unpacked_.size() < cell_->size) room.unpacked_.resize(cell_->size);
  Unpack(*cell_, room.unpacked_.data());
  return std::string_view(room.unpacked_).substr(0, cell_->size);
}

bool Value::Unpack(char* to) const {
  if (!cell_) return false;
  {
    std::lock_guard lock(StripeOf(cell_));
    if (!cell_->packed) return false;
  }
  Unpack(*cell_, to);
  return true;
}

namespace {
thread_local std::string spare_room;
}

Value::Room::Room() { unpacked_.swap(spare_room); }

Value::Room::~Room() {
  constexpr std::size_t kMostKept = 64 << 10;
  if (unpacked_.capacity() <= kMostKept) unpacked_.swap(spare_room);
}

void Value::Unpack(const Cell& cell, char* to) {
  const Dictionary& dictionary = *dictionaries[cell.dictionary].load(std::memory_order_acquire);
  std::size_t n = 0;
  if (cell.codec == Codec::kRepeats) {
    n = static_cast<std::size_t>(LZ4_decompress_safe_usingDict(cell.packed.get(), to, static_cast<int>(cell.packed_size), static_cast<int>(cell.size), dictionary.text.data(),
                                                               static_cast<int>(dictionary.text.size())));
  } else {
    n = TheDecoders().Decode(dictionary, to, cell.size, cell.packed.get(), cell.packed_size);
  }
  if (n == cell.size) return;
  // What we compressed ourselves: the memory is damaged, and nothing in it may be written back.
  log::Error("a value in memory is damaged", {{"size", static_cast<std::size_t>(cell.size)}});
  std::abort();
}

// The settled values that are plain, oldest first.
class PlainValues {
 public:
  static PlainValues& Instance() {
    static PlainValues& values = *new PlainValues();   // lives as long as the threads that use it
    return values;
  }

  void Add(const Value& value) {
    std::lock_guard lock(mutex_);
    queue_.push_back(value);
    bytes_ += value.size();
  }

  void Compress(std::size_t budget) {
    std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn) return;
    for (;;) {
      std::vector<Value> oldest;
      {
        std::lock_guard lock(mutex_);
        if (bytes_ > budget && current_ < 0) Train(0);
        if (current_ >= 0 && packed_bytes_ > kReplacedAfter[static_cast<std::size_t>(current_)] && bytes_ > budget) Train(current_ + 1);
        while (bytes_ > budget && oldest.size() < kBatch) {
          bytes_ -= queue_.front().size();
          oldest.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
      if (oldest.empty()) return;
      for (const Value& value : oldest) Pack(*value.cell_);
    }
  }

 private:
  static constexpr std::size_t kBatch = 32;

  // With the lock held, nothing plain being compressed. Samples are spread over all that is plain; what comes last is found soonest.
  void Train(int generation) {
    std::string text;
    const auto samples = std::clamp(kSampledBytes / std::min(bytes_ / queue_.size() + 1, kSampleBytes), kLeastSamples, kMostSamples);
    for (std::size_t i = 0; i < samples && text.size() < kSampledBytes; ++i) {
      const auto& cell = *queue_[queue_.size() * i / samples].cell_;
      std::lock_guard lock(StripeOf(&cell));
      text += cell.plain.view().substr(0, std::min(kSampleBytes, kSampledBytes - text.size()));
    }
    dictionaries[static_cast<std::size_t>(generation)].store(new Dictionary(std::move(text)), std::memory_order_release);
    current_ = generation;
  }

  void Pack(Value::Cell& cell) {
    if (cell.references.load(std::memory_order_acquire) == 1) return;   // nobody else has it: it goes now
    const std::string_view text = cell.plain.view();                    // only whose turn it is changes it
    const auto generation = static_cast<std::size_t>(current_);
    auto* const dictionary = dictionaries[generation].load(std::memory_order_relaxed);
    packed_bytes_ += text.size();
    Codec codec = Codec::kRepeats;
    std::size_t n = Repeats(*dictionary, text, repeats_);
    if (n > text.size() / 3) {
      dictionary->PrepareFrequencies();
      buffer_.resize(std::max(buffer_.size(), ZSTD_compressBound(text.size())));
      const auto fewer = ZSTD_compress_usingCDict(encoder_.get(), buffer_.data(), buffer_.size(), text.data(), text.size(), dictionary->encode);
      if (!ZSTD_isError(fewer) && fewer + fewer / 8 < n) n = fewer, codec = Codec::kFrequencies;
    }
    if (n + n / 8 >= text.size()) return;                               // it stays plain for good
    auto packed = std::make_unique_for_overwrite<char[]>(n);
    std::memcpy(packed.get(), (codec == Codec::kRepeats ? repeats_ : buffer_).data(), n);
    Bytes dropped;   // destroyed after the lock is released
    std::lock_guard lock(StripeOf(&cell));
    dropped = std::exchange(cell.plain, {});
    cell.packed_size = static_cast<std::uint32_t>(n);
    cell.dictionary = static_cast<std::uint8_t>(generation);
    cell.codec = codec;
    cell.packed = std::move(packed);
  }

  // The size of what it wrote to `out`.
  static std::size_t Repeats(const Dictionary& dictionary, std::string_view text, std::string& out) {
    out.resize(std::max(out.size(), static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(text.size())))));
    LZ4_stream_t state = dictionary.repeats;
    return static_cast<std::size_t>(LZ4_compress_fast_continue(&state, text.data(), out.data(), static_cast<int>(text.size()), static_cast<int>(out.size()), 1));
  }

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::mutex mutex_;
  std::deque<Value> queue_;         // guarded
  std::size_t bytes_ = 0;           // guarded

  std::mutex turn_;                 // held while compressing; guards the rest
  std::unique_ptr<ZSTD_CCtx, Free> encoder_{ZSTD_createCCtx()};
  std::string repeats_, buffer_;
  int current_ = -1;                // of the dictionaries
  std::size_t packed_bytes_ = 0;    // that went through in all
};

void Value::Settle() const {
  if (size() >= kLeast && size() <= kMost) PlainValues::Instance().Add(*this);
}

void CompressValues(std::size_t budget) { PlainValues::Instance().Compress(budget); }

}  // namespace skerry::store
