// How many CPUs this process may use: its affinity mask and its cgroup's quota.
#pragma once

#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include <strait/detail/config.hpp>

namespace strait::inline STRAIT_ABI::detail {

inline unsigned usable_cpus() {
  unsigned n = std::thread::hardware_concurrency();
#if defined(__linux__)
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<unsigned>(CPU_COUNT(&set));
  // cgroup v2: "quota period", or "max period" for no limit.
  std::ifstream limit("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (limit >> quota >> period && quota != "max" && period > 0) {
    const double cpus = std::ceil(std::stod(quota) / period);
    if (cpus >= 1 && cpus < n) n = static_cast<unsigned>(cpus);
  }
#endif
  return n != 0 ? n : 1;
}

}  // namespace strait::inline STRAIT_ABI::detail
