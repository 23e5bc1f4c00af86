#include "agent/doctor/machine.hpp"

namespace outcrop::agent {

Findings check_machine(const MachineFiles& files, int threads, bool engine_runs) {
  Findings findings{check_board(files), check_cores(files, threads),
                    check_processor(files, engine_runs), check_memory(files)};
  add(findings, check_wear(files));
  add(findings, {check_governor(files), check_frequency(files), check_temperature(files)});
  add(findings, check_throttling(files));
  return findings;
}

}  // namespace outcrop::agent
