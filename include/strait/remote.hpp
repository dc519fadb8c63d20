// Channels across processes and machines, over Cap'n Proto RPC: nodes, serve and dial.
#pragma once

#include <strait/remote/codec.hpp>
#include <strait/remote/node.hpp>
#include <strait/remote/options.hpp>
#include <strait/remote/schema.hpp>
