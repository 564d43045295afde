#pragma once
#include <condition_variable>
#include <mutex>
#include <utility>
namespace skerry {
// The mutex owns the data: there is no way to touch T without the lock.
template <class T>
class Guarded {
 public:
  template <class... A> explicit Guarded(A&&... a) : value_(std::forward<A>(a)...) {}
  class Locked {
   public:
    T* operator->() & { return &v_; }
    T& operator*() & { return v_; }
    T* operator->() && = delete;   // the lock would be released before the use ends
    T& operator*() && = delete;
    // Waits on `cv` with the lock released; the predicate runs under it.
    template <class P> void Wait(std::condition_variable& cv, P pred) { cv.wait(lock_, pred); }
    template <class T2, class P> bool WaitUntil(std::condition_variable& cv, T2 deadline, P pred) { return cv.wait_until(lock_, deadline, pred); }
   private:
    friend class Guarded;
    Locked(std::mutex& m, T& v) : lock_(m), v_(v) {}
    std::unique_lock<std::mutex> lock_;
    T& v_;
  };
  [[nodiscard]] Locked Lock() { return Locked(mutex_, value_); }
 private:
  std::mutex mutex_;
  T value_;
};
}  // namespace skerry
