#pragma once
// Programs without a C library: a few hundred bytes, no start-up cost, nothing to find in an image. x86-64 and arm64.
typedef long word;

#if defined(__x86_64__)
static inline word Call(word n, word a, word b, word c, word d, word e) {
  word r;
  register word r10 __asm__("r10") = d;
  register word r8 __asm__("r8") = e;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return r;
}
enum { kSigProcMask = 14, kSigTimedWait = 128, kWait4 = 61, kExitGroup = 231, kUnshare = 272, kMount = 165, kUnmount = 166, kExecve = 59, kWrite = 1 };
__asm__(".globl _start\n_start:\n  xor %ebp,%ebp\n  mov %rsp,%rdi\n  and $-16,%rsp\n  call Main\n  ud2\n");
#elif defined(__aarch64__)
static inline word Call(word n, word a, word b, word c, word d, word e) {
  register word x8 __asm__("x8") = n;
  register word x0 __asm__("x0") = a;
  register word x1 __asm__("x1") = b;
  register word x2 __asm__("x2") = c;
  register word x3 __asm__("x3") = d;
  register word x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
enum { kSigProcMask = 135, kSigTimedWait = 137, kWait4 = 260, kExitGroup = 94, kUnshare = 97, kMount = 40, kUnmount = 39, kExecve = 221, kWrite = 64 };
__asm__(".globl _start\n_start:\n  mov x29,#0\n  mov x0,sp\n  bl Main\n");
#else
#error "port the helpers to this machine"
#endif
