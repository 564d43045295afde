#pragma once

namespace skerry::fault_test {

int DiskFull();   // exit code of `skerry_fault_store diskfull`

}  // namespace skerry::fault_test
