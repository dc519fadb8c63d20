// The frame pool: blocks come back, from any thread, and memory with them.
#include <strait/detail/pool.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using namespace strait::detail;

struct block {
  void* at;
  std::size_t bytes;
  unsigned char mark;
};

block take(std::size_t bytes, unsigned char mark) {
  block b{pool_allocate(pool_kind::frames, bytes), bytes, mark};
  std::memset(b.at, mark, bytes);
  return b;
}
bool intact(const block& b) {
  const auto* bytes = static_cast<const unsigned char*>(b.at);
  for (std::size_t i = 0; i < b.bytes; ++i) {
    if (bytes[i] != b.mark) return false;
  }
  return true;
}

TEST(pool, blocks_are_aligned_distinct_and_writable_in_every_class) {
  const auto before = pool_live();
  std::vector<block> blocks;
  for (std::size_t bytes = 1; bytes <= pool_largest + 100; bytes += 7) {
    for (std::size_t i = 0; i < 5; ++i) {
      blocks.push_back(take(bytes, static_cast<unsigned char>(bytes + i)));
    }
  }
  std::set<void*> addresses;
  for (const block& b : blocks) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.at) % 16, 0u);
    EXPECT_TRUE(addresses.insert(b.at).second);
    EXPECT_TRUE(intact(b)) << b.bytes;
  }
  for (const block& b : blocks) pool_free(b.at, b.bytes);
  EXPECT_EQ(pool_live(), before);
}

TEST(pool, a_freed_block_is_the_next_one_of_its_class) {
  void* const a = pool_allocate(pool_kind::frames, 96);
  pool_free(a, 96);
  void* const b = pool_allocate(pool_kind::frames, 96);
  EXPECT_EQ(a, b);
  pool_free(b, 96);
}

TEST(pool, blocks_freed_by_another_thread_are_used_again) {
  constexpr int rounds = 50, n = 2000;
  std::set<slab*> slabs;
  for (int r = 0; r < rounds; ++r) {
    std::vector<void*> blocks;
    for (int i = 0; i < n; ++i) {
      blocks.push_back(pool_allocate(pool_kind::frames, 128));
      slabs.insert(slab::of(blocks.back()));
    }
    std::thread([&] {
      for (void* b : blocks) pool_free(b, 128);
    }).join();
  }
  // 2000 blocks of 128 bytes are four slabs; without the remote list it would be 200.
  EXPECT_LE(slabs.size(), 12u);
}

TEST(pool, random_use_by_several_threads_keeps_every_block_whole) {
  const auto before = pool_live();
  std::vector<std::thread> threads;
  std::mutex lock;
  std::vector<block> shared;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<block> mine;
      for (std::uint64_t i = 0; i < strait_test::scaled(100'000); ++i) {
        if (mine.size() < 200 && random() % 2 == 0) {
          mine.push_back(take(random() % pool_largest + 1, static_cast<unsigned char>(random())));
        } else if (!mine.empty()) {
          std::swap(mine[random() % mine.size()], mine.back());
          const block b = mine.back();
          mine.pop_back();
          ASSERT_TRUE(intact(b));
          if (random() % 4 != 0) {
            pool_free(b.at, b.bytes);
            continue;
          }
          std::lock_guard hold(lock);  // somebody else frees it
          shared.push_back(b);
          if (shared.size() > 100) {
            for (const block& s : shared) pool_free(s.at, s.bytes);
            shared.clear();
          }
        }
      }
      for (const block& b : mine) pool_free(b.at, b.bytes);
    });
  }
  for (auto& t : threads) t.join();
  for (const block& b : shared) pool_free(b.at, b.bytes);
  EXPECT_EQ(pool_live(), before);
}

TEST(pool, memory_returns_after_a_burst) {
  const auto slabs = [] {
    std::lock_guard hold(depot().lock);
    return depot().spares;
  };
  std::vector<void*> blocks;
  for (int i = 0; i < 200'000; ++i) blocks.push_back(pool_allocate(pool_kind::frames, 256));
  for (void* b : blocks) pool_free(b, 256);
  EXPECT_LE(slabs(), pool_depot::keep);  // the other 780 were unmapped
}

}  // namespace
