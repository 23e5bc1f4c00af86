#pragma once

#include "platform/cli/verb.hpp"

namespace outcrop::agent {

// What a board's owner asks of a running agent, through its socket.
void add_status(CLI::App& app, cli::Action& chosen);
void add_infer(CLI::App& app, cli::Action& chosen);
void add_hold(CLI::App& app, cli::Action& chosen);
void add_approve(CLI::App& app, cli::Action& chosen);
void add_rollback(CLI::App& app, cli::Action& chosen);

}  // namespace outcrop::agent
