// The goroutine dump: who waits, why, where, and where it was started.
#pragma once

#include <cstdint>
#include <ostream>
#include <source_location>
#include <vector>

#include <strait/detail/goroutine.hpp>

namespace strait::inline STRAIT_ABI::detail {

/// Writes a line per live goroutine, of one scheduler or (0) of all. Goroutines go on meanwhile:
/// each line is true of some moment.
inline void dump_goroutines(std::ostream& out, std::uint32_t of_scheduler) {
  struct line {
    wait_reason reason = wait_reason::none;
    const void* subject = nullptr;
    const void* at = nullptr;
    const void* spawned = nullptr;
    bool service = false;
  };
  std::vector<line> lines;
  lines.reserve(4096);  // not while the registry is locked, for most programs
  std::size_t total = 0;
  for_each_goroutine_block([&](char* block, std::size_t) {
    const auto* const g = reinterpret_cast<const goroutine*>(block);
    const std::uint32_t park = g->park.load(std::memory_order_acquire);
    if ((park & goroutine::alive_bit) == 0) return;
    if (of_scheduler != 0 && (park >> goroutine::owner_shift) != of_scheduler) return;
    ++total;
    if (lines.size() == lines.capacity()) return;
#if STRAIT_DIAGNOSTICS
    line l;
    const bool waits = (park & goroutine::states) != 0;
    l.reason = waits ? g->reason.load() : wait_reason::none;
    l.subject = g->waits_for.load();
    l.at = g->waits_at.load();
    l.spawned = g->spawned_at.load();
    l.service = (park & goroutine::daemon_bit) != 0;
    lines.push_back(l);
#endif
  });
  out << total << " goroutines\n";
#if STRAIT_DIAGNOSTICS
  const auto place = [](const void* p) { return __builtin_bit_cast(std::source_location, p); };
  for (const line& l : lines) {
    out << "  " << describe(l.reason);
    if (l.reason != wait_reason::none && l.subject != nullptr) out << ' ' << l.subject;
    if (l.reason != wait_reason::none && l.at != nullptr) {
      out << " at " << place(l.at).file_name() << ':' << place(l.at).line();
    }
    out << ", spawned at " << place(l.spawned).file_name() << ':' << place(l.spawned).line()
        << (l.service ? " (service)" : "") << '\n';
  }
  if (total > lines.size()) out << "  ... and " << total - lines.size() << " more\n";
#else
  out << "  (built without diagnostics)\n";
#endif
}

}  // namespace strait::inline STRAIT_ABI::detail
