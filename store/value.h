#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"

namespace skerry::store {

// The content of one version of an entry: immutable, and shared by the store, its history and whoever was handed it.
//
// What a store keeps is plain while it is new and compressed later: of a large store most is read rarely, and text that describes
// objects shrinks to a third or less. One word wide; thread-safe as a shared_ptr is.
class Value {
 public:
  Value() = default;                                    // no bytes
  Value(Bytes plain);                                   // implicit: a value is its bytes
  Value(const Value& other) noexcept;
  Value(Value&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  Value& operator=(Value other) noexcept {
    std::swap(cell_, other.cell_);
    return *this;
  }
  ~Value();

  Bytes Load() const;                                   // costs a microsecond or some when it is compressed

  // What View shows one value after the other in. Its memory is the thread's, which uses it again.
  class Room {
   public:
    Room();
    ~Room();
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

   private:
    friend class Value;
    Bytes plain_;
    std::string unpacked_;
  };
  // The bytes, until `room` is used again or ends. Without memory of their own where others have them plain.
  std::string_view View(Room& room) const;

  // Writes the size() bytes to `to` when they are compressed; when they are not it does nothing, says false, and View is as good.
  bool Unpack(char* to) const;
  std::size_t size() const noexcept;                    // of the plain bytes

  std::size_t resident() const;                         // what it keeps in memory: size(), or fewer

  // It stays from now on: it counts among the plain values, and may be compressed. Once per value.
  void Settle() const;

 private:
  struct Cell;
  friend class PlainValues;
  static void Unpack(const Cell& cell, char* to);
  Cell* cell_ = nullptr;
};

// Settled values of the process are plain up to this many bytes.
inline constexpr std::size_t kPlainBudget = 8 << 20;

// Compresses the oldest settled values until no more than `budget` bytes are plain. Any thread; a second caller returns at once.
void CompressValues(std::size_t budget = kPlainBudget);

}  // namespace skerry::store
