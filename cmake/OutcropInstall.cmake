# Where programs, units and documents go: `cmake --install BUILD [--prefix DIR] [--component host|board]`.
include(GNUInstallDirs)

# Where Debian's zsh looks, for what a package brings and for what an administrator does.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(OUTCROP_ZSH_FOLDER vendor-completions)
else()
  set(OUTCROP_ZSH_FOLDER site-functions)
endif()

set(board_programs outcrop-agent outcrop-tokenize)
set(host_programs outcrop outcropd outcrop-trainer)
if(OUTCROP_RUNNER)
  list(APPEND board_programs outcrop-runner-torch)
endif()
install(TARGETS ${board_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT board)
install(TARGETS ${host_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT host)
if(OUTCROP_RUNNER)
  # The host proves releases with the boards' own runner.
  install(TARGETS outcrop-runner-torch RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT host)
  install(FILES docs/man/outcrop-runner-torch.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT host)
endif()
if(OUTCROP_LIBTORCH STREQUAL "lite")
  # No package of Debian's has these: they lie where only the runner looks.
  install(FILES ${OUTCROP_LITE_LIBRARIES} DESTINATION lib/outcrop COMPONENT board)
  set_target_properties(outcrop-runner-torch PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/outcrop")
endif()
# outcrop-runner-torch has no verbs: its page is written by hand. The others' are made (outcrop_manual).
set(sections outcrop 1 outcrop-trainer 1 outcropd 8 outcrop-agent 8)
foreach(component host board)
  foreach(program ${${component}_programs})
    list(FIND sections ${program} at)
    if(at EQUAL -1)
      install(FILES docs/man/${program}.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT ${component})
      continue()
    endif()
    math(EXPR at "${at} + 1")
    list(GET sections ${at} section)
    install(FILES ${CMAKE_BINARY_DIR}/man/${program}.${section}
      DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
    # Completion: a few lines for each shell, which ask the program.
    string(REPLACE - _ function ${program})
    foreach(shell bash zsh fish)
      configure_file(platform/cli/completion/${shell}.in
        ${CMAKE_BINARY_DIR}/completion/${shell}/${program} @ONLY)
    endforeach()
    set(made ${CMAKE_BINARY_DIR}/completion)
    install(FILES ${made}/bash/${program} COMPONENT ${component}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${made}/zsh/${program} RENAME _${program} COMPONENT ${component}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${OUTCROP_ZSH_FOLDER})
    install(FILES ${made}/fish/${program} RENAME ${program}.fish COMPONENT ${component}
      DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  endforeach()
endforeach()
include(OutcropPages)
foreach(component host board)
  install(FILES ${OUTCROP_INSTALLED_PAGES} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ${component})
endforeach()
install(FILES packaging/monitoring/alerts.yml packaging/monitoring/grafana-dashboard.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/outcrop/monitoring COMPONENT host)
install(FILES configs/host.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT host)
install(FILES configs/agent.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT board)
