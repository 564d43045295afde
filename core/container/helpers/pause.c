// Holds a sandbox's namespaces: reaps what is orphaned into its PID namespace, ends on TERM or INT.
#include "syscall.h"

void Main(word* stack) {
  (void)stack;
  enum { kInt = 2, kTerm = 15, kChild = 17, kBlock = 0, kNoHang = 1 };
  unsigned long set = (1UL << (kInt - 1)) | (1UL << (kTerm - 1)) | (1UL << (kChild - 1));
  Call(kSigProcMask, kBlock, (word)&set, 0, sizeof set, 0);
  for (;;) {
    const word signal = Call(kSigTimedWait, (word)&set, 0, 0, sizeof set, 0);
    if (signal == kInt || signal == kTerm) Call(kExitGroup, 0, 0, 0, 0, 0);
    while (signal == kChild && Call(kWait4, -1, 0, kNoHang, 0, 0) > 0) {}
  }
}
