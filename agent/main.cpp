#include "agent/collect/collect_verb.hpp"
#include "agent/control/enroll_verb.hpp"
#include "agent/control/verbs.hpp"
#include "agent/doctor/doctor_verb.hpp"
#include "agent/fsck/fsck_verb.hpp"
#include "agent/install/install_verb.hpp"
#include "agent/run_verb.hpp"
#include "platform/cli/verb.hpp"
#include "protocol/base/program.hpp"

int main(int argc, char** argv) {
  using namespace outcrop::agent;
  return outcrop::run_main("outcrop-agent", [&] {
    return outcrop::cli::run_program(
        "outcrop-agent",
        "Serve generated models on this board; pull, verify, prove and measure new ones.", argc,
        argv,
        {add_run, add_status, add_infer, add_hold, add_approve, add_rollback, add_enroll,
         add_install, add_doctor, add_fsck, add_collect});
  });
}
