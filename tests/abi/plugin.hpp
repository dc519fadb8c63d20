// What the program of this test and its plugin say to each other.
#pragma once

#include <cstdint>
#include <strait/strait.hpp>

struct strait_test_plugin {
  /// The addresses of the process-wide state, as the plugin sees them on the calling thread.
  const void* (*thread_state)();
  const void* (*frame_depot)();
  /// A number that no other runtime of the process has.
  std::uint32_t (*scheduler_number)();
  /// From a goroutine of the program: starts one in the plugin that sends 0 .. count-1.
  void (*produce)(strait::sender<int> out, int count);
  /// A coroutine of the plugin: waits on `never` until it is cancelled, then says so on `out`.
  strait::task<> (*wait_until_cancelled)(strait::receiver<int> never, strait::sender<int> out);
  /// A coroutine of the plugin that throws strait::channel_error by sending on a closed channel.
  strait::task<> (*fail)();
};

extern "C" const strait_test_plugin* strait_test_plugin_entry();
