// Everything local of strait: goroutines, channels, select, time, contexts, synchronisation.
// Includes no third-party header.
#pragma once

#include <strait/blocking.hpp>
#include <strait/chan.hpp>
#include <strait/context.hpp>
#include <strait/delivery.hpp>
#include <strait/error.hpp>
#include <strait/go.hpp>
#include <strait/group.hpp>
#include <strait/result.hpp>
#include <strait/runtime.hpp>
#include <strait/select.hpp>
#include <strait/sync/barrier.hpp>
#include <strait/sync/condvar.hpp>
#include <strait/sync/latch.hpp>
#include <strait/sync/mutex.hpp>
#include <strait/sync/once.hpp>
#include <strait/sync/rwmutex.hpp>
#include <strait/sync/semaphore.hpp>
#include <strait/sync/single_flight.hpp>
#include <strait/sync/wait_group.hpp>
#include <strait/task.hpp>
#include <strait/time.hpp>
#include <strait/wait.hpp>
#include <strait/with.hpp>
