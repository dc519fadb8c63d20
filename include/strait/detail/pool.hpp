// Memory for coroutine frames and goroutine blocks.
//
// A thread allocates from its own cache: per size class a free list, carved from 64 KiB slabs that
// are aligned to their size, so that a block finds its slab (and the owning cache) by masking its
// address and carries no header. A block freed by another thread goes onto the owner's remote list,
// which the owner takes whole when its own list runs dry. A slab without live blocks returns to the
// system (a few are kept), so memory returns after a burst.
//
// Invariants
// - A slab belongs to one cache for ever; only the thread that holds the cache touches its lists.
//   The remote list is the one shared word: pushed by compare-exchange (release), taken whole by
//   exchange (acquire), so there is no ABA.
// - Caches outlive threads: a thread that ends leaves its cache to the next new thread.
// - Slabs of goroutine blocks are linked in one registry, under its lock: that is how the dump and
//   the final cancellation find every goroutine without a list that each spawn would have to enter.
//
// Rejected: a size header per block (8 to 16 bytes of a 136-byte budget per parked goroutine); one
// shared free list per class (a contended line on each spawn).
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include <strait/detail/atomic.hpp>
#include <strait/detail/spin_lock.hpp>

namespace strait::inline STRAIT_ABI::detail {

inline constexpr std::size_t slab_bytes = 64 * 1024;
inline constexpr std::size_t pool_step = 16;
inline constexpr std::size_t pool_largest = 1024;
inline constexpr std::size_t pool_classes = pool_largest / pool_step;

enum class pool_kind : std::uint8_t { frames, goroutines };

struct free_block {
  free_block* next;
};

struct pool_cache;

struct slab {
  pool_cache* owner;
  std::uint32_t block_bytes;
  std::uint32_t used;       // live blocks and blocks on the remote list
  free_block* free;         // blocks given back by the owner
  std::uint32_t untouched;  // offset of the first block that was never handed out
  std::uint16_t size_class;
  pool_kind kind;
  bool listed;  // in its cache's list of slabs that have room
  slab *next, *prev;
  slab *registry_next, *registry_prev;

  static constexpr std::size_t first_block = 128;
  static slab* of(void* block) noexcept {
    return reinterpret_cast<slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_bytes - 1));
  }
  bool full() const noexcept { return free == nullptr && untouched + block_bytes > slab_bytes; }
};
static_assert(sizeof(slab) <= slab::first_block);

/// What all caches share: spare slabs, abandoned caches and the registry of goroutine slabs.
struct pool_depot {
  std::mutex lock;
  slab* spare = nullptr;
  std::size_t spares = 0;
  pool_cache* abandoned = nullptr;
  pool_cache* all = nullptr;
  slab* goroutines = nullptr;

  static constexpr std::size_t keep = 512;  // 32 MiB
};

STRAIT_SHARED inline pool_depot& depot() noexcept {
  // Never destroyed: threads and static destructors may still free blocks at exit.
  static pool_depot* const shared = new pool_depot;
  return *shared;
}

struct pool_bin {
  slab* room = nullptr;  // slabs that have a free block; the first one is allocated from
  atomic<free_block*> remote{nullptr};
};

struct pool_cache {
  static_assert(pool_classes <= 64);
  pool_bin bins[2][pool_classes];
  atomic<std::uint64_t> remote_bins[2]{};  // which remote lists are not empty
  // Blocks handed out and taken back by the holder of this cache; one writer each.
  atomic<std::int64_t> allocated{0}, freed{0};
  pool_cache* next_abandoned = nullptr;
  pool_cache* next_in_all = nullptr;

  static void bump(atomic<std::int64_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void* allocate(pool_kind kind, std::size_t size_class) {
    bump(allocated);
    pool_bin& bin = bins[static_cast<int>(kind)][size_class];
    slab* s = bin.room;
    if (s == nullptr) [[unlikely]] {
      s = refill(bin, kind, size_class);
    }
    ++s->used;
    void* block = s->free;
    if (block != nullptr) {
      s->free = s->free->next;
    } else {
      block = reinterpret_cast<char*>(s) + s->untouched;
      s->untouched += s->block_bytes;
    }
    if (s->full()) [[unlikely]] {
      unlist(bin, s);
    }
    return block;
  }

  void free_own(slab* s, void* block) noexcept {
    pool_bin& bin = bins[static_cast<int>(s->kind)][s->size_class];
    s->free = ::new (block) free_block{s->free};
    --s->used;
    if (!s->listed) {
      list(bin, s);
    } else if (s->used == 0 && s != bin.room) [[unlikely]] {
      unlist(bin, s);
      release(s);
    }
  }

  static void free_remote(slab* s, void* block) noexcept {
    pool_cache* const owner = s->owner;  // the slab may be gone once the block is on the list
    const int kind = static_cast<int>(s->kind);
    const std::uint64_t bin = std::uint64_t{1} << s->size_class;
    atomic<free_block*>& list = owner->bins[kind][s->size_class].remote;
    free_block* before = list.load(std::memory_order_relaxed);
    free_block* const b = ::new (block) free_block{before};
    while (!list.compare_exchange_weak(before, b, std::memory_order_release,
                                       std::memory_order_relaxed)) {
      b->next = before;
    }
    if (before == nullptr) owner->remote_bins[kind].fetch_or(bin, std::memory_order_release);
  }

  /// The holder's, now and then: takes back what others freed, so that memory returns to the system
  /// although nothing is allocated.
  void collect() noexcept {
    for (int kind = 0; kind < 2; ++kind) {
      if (remote_bins[kind].load(std::memory_order_relaxed) == 0) continue;
      std::uint64_t set = remote_bins[kind].exchange(0, std::memory_order_acq_rel);
      for (std::size_t c = 0; set != 0; ++c, set >>= 1) {
        if ((set & 1) != 0) take_back(bins[kind][c]);
      }
    }
  }

 private:
  static void list(pool_bin& bin, slab* s) noexcept {
    s->listed = true;
    s->prev = nullptr;
    s->next = bin.room;
    if (bin.room != nullptr) bin.room->prev = s;
    bin.room = s;
  }
  static void unlist(pool_bin& bin, slab* s) noexcept {
    s->listed = false;
    (s->prev != nullptr ? s->prev->next : bin.room) = s->next;
    if (s->next != nullptr) s->next->prev = s->prev;
  }

  void take_back(pool_bin& bin) noexcept {
    free_block* b = bin.remote.exchange(nullptr, std::memory_order_acquire);
    while (b != nullptr) {
      free_block* const next = b->next;
      free_own(slab::of(b), b);
      b = next;
    }
  }

  STRAIT_NOINLINE slab* refill(pool_bin& bin, pool_kind kind, std::size_t size_class) {
    take_back(bin);
    if (bin.room == nullptr) list(bin, new_slab(kind, size_class));
    return bin.room;
  }

  slab* new_slab(pool_kind kind, std::size_t size_class) {
    pool_depot& d = depot();
    std::lock_guard hold(d.lock);
    slab* s = d.spare;
    const bool recycled = s != nullptr;
    if (recycled) {
      d.spare = s->next;
      --d.spares;
    } else {
      s = map();
    }
    // The registry walk reads park words of blocks that were never handed out: none may look alive.
    if (recycled && kind == pool_kind::goroutines) {
      std::memset(reinterpret_cast<char*>(s) + slab::first_block, 0,
                  slab_bytes - slab::first_block);
    }
    *s = slab{};
    s->owner = this;
    s->size_class = static_cast<std::uint16_t>(size_class);
    s->block_bytes = static_cast<std::uint32_t>((size_class + 1) * pool_step);
    s->untouched = slab::first_block;
    s->kind = kind;
    if (kind == pool_kind::goroutines) {
      s->registry_next = d.goroutines;
      if (d.goroutines != nullptr) d.goroutines->registry_prev = s;
      d.goroutines = s;
    }
    return s;
  }

  STRAIT_NOINLINE static void release(slab* s) noexcept {
    pool_depot& d = depot();
    std::lock_guard hold(d.lock);
    if (s->kind == pool_kind::goroutines) {
      (s->registry_prev != nullptr ? s->registry_prev->registry_next : d.goroutines) =
          s->registry_next;
      if (s->registry_next != nullptr) s->registry_next->registry_prev = s->registry_prev;
    }
    if (d.spares < pool_depot::keep) {
      s->next = d.spare;
      d.spare = s;
      ++d.spares;
    } else {
      ::munmap(s, slab_bytes);
    }
  }

  static slab* map() {
    // Twice the size, cut down to the aligned half.
    void* const got =
        ::mmap(nullptr, 2 * slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) throw std::bad_alloc();
    const auto begin = reinterpret_cast<std::uintptr_t>(got);
    const auto aligned = (begin + slab_bytes - 1) & ~(slab_bytes - 1);
    if (aligned != begin) ::munmap(got, aligned - begin);
    const auto end = begin + 2 * slab_bytes;
    if (aligned + slab_bytes != end) {
      ::munmap(reinterpret_cast<void*>(aligned + slab_bytes), end - aligned - slab_bytes);
    }
    return reinterpret_cast<slab*>(aligned);
  }
};

/// A thread's way to its cache; without a constructor, so that a look costs no guard.
struct pool_place {
  pool_cache* cache;
  bool ended;
};

/// Hands the calling thread's cache to the next thread when this one ends.
struct pool_lease {
  pool_place& place;
  ~pool_lease() {
    place.ended = true;
    pool_cache* const left = std::exchange(place.cache, nullptr);
    std::lock_guard hold(depot().lock);
    left->next_abandoned = depot().abandoned;
    depot().abandoned = left;
  }
};

STRAIT_SHARED STRAIT_NOINLINE inline pool_cache* adopt_cache(pool_place& place) {
  if (place.ended) return nullptr;
  {
    pool_depot& d = depot();
    std::lock_guard hold(d.lock);
    place.cache = d.abandoned;
    if (place.cache != nullptr) {
      d.abandoned = place.cache->next_abandoned;
    } else {
      place.cache = new pool_cache;
      place.cache->next_in_all = d.all;
      d.all = place.cache;
    }
  }
  static thread_local pool_lease lease{place};
  (void)lease;
  return place.cache;
}

STRAIT_SHARED STRAIT_NOINLINE inline pool_cache* this_cache() {
  static constinit thread_local pool_place place{nullptr, false};
  asm volatile("" ::: "memory");  // not to be cached across a suspension
  if (place.cache == nullptr) [[unlikely]] {
    return adopt_cache(place);
  }
  return place.cache;
}

inline void* pool_allocate(pool_kind kind, std::size_t bytes) {
  if (bytes > pool_largest) return ::operator new(bytes);
  pool_cache* const cache = this_cache();
  const std::size_t size_class = (bytes + pool_step - 1) / pool_step - 1;
  if (cache == nullptr) [[unlikely]] {  // a thread past its thread-local destructors
    std::lock_guard hold(depot().lock);
    static pool_cache* const last = new pool_cache;
    return last->allocate(kind, size_class);
  }
  return cache->allocate(kind, size_class);
}

inline void pool_free(void* block, std::size_t bytes) noexcept {
  if (bytes > pool_largest) return ::operator delete(block, bytes);
  slab* const s = slab::of(block);
  pool_cache* const cache = this_cache();
  if (cache != nullptr) pool_cache::bump(cache->freed);
  if (s->owner == cache) {
    cache->free_own(s, block);
  } else {
    pool_cache::free_remote(s, block);
  }
}

/// Pool blocks that are alive in the process; exact when no thread allocates meanwhile.
inline std::int64_t pool_live() {
  pool_depot& d = depot();
  std::lock_guard hold(d.lock);
  std::int64_t live = 0;
  for (pool_cache* c = d.all; c != nullptr; c = c->next_in_all) {
    live += c->allocated.load(std::memory_order_relaxed) - c->freed.load(std::memory_order_relaxed);
  }
  return live;
}

/// Calls `visit(block)` for every block of the goroutine slabs, handed out or not.
template <class F>
void for_each_goroutine_block(F&& visit) {
  pool_depot& d = depot();
  std::lock_guard hold(d.lock);
  for (slab* s = d.goroutines; s != nullptr; s = s->registry_next) {
    for (std::size_t at = slab::first_block; at + s->block_bytes <= slab_bytes;
         at += s->block_bytes) {
      visit(reinterpret_cast<char*>(s) + at, s->block_bytes);
    }
  }
}

/// Frames. Under AddressSanitizer the ordinary heap is used, so that it sees every misuse; that
/// choice is part of the inline namespace (config.hpp).
inline void* frame_allocate(std::size_t bytes) {
#if STRAIT_ASAN
  return ::operator new(bytes);
#else
  return pool_allocate(pool_kind::frames, bytes);
#endif
}
inline void frame_free(void* block, std::size_t bytes) noexcept {
#if STRAIT_ASAN
  ::operator delete(block, bytes);
#else
  pool_free(block, bytes);
#endif
}

}  // namespace strait::inline STRAIT_ABI::detail
