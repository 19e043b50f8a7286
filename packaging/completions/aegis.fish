# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_aegis_global_optspecs
    string join \n context= h/help V/version
end

function __fish_aegis_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_aegis_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_aegis_using_subcommand
    set -l cmd (__fish_aegis_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c aegis -n "__fish_aegis_needs_command" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_needs_command" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "up" -d 'Start the daemon aegisd'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "down" -d 'Stop the daemon aegisd'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "status" -d 'Show whether aegisd runs, and by what it runs guests'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "doctor" -d 'Diagnose this machine: what guests need, what is there, and the command that brings what is missing'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "run" -d 'Run a command in a guest of its own'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "exec" -d 'Run a command in a running instance'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "logs" -d 'Show what an app\'s instance wrote'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "app" -d 'Apps: packaged workloads with releases, on this machine'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "instance" -d 'Instances: the guests of this machine'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "task" -d 'Tasks: commands that ran, or run, in a guest of their own'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "image" -d 'Images: what was pulled and is kept on this machine'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "secret" -d 'Secrets of an app, or of all apps on this machine'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "kit" -d 'Kits: an image with defaults and required secrets, for apps to name'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "apply" -d 'Make the fleet as the manifests say'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "diff" -d 'Show what apply would do, and change nothing'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "validate" -d 'Check manifests without asking anybody'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "get" -d 'List the declared objects of a kind, or show one'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "describe" -d 'Show all there is to know of an object: what is declared, by whom, and what is seen'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "delete" -d 'Delete objects, whoever owns them'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "export" -d 'Print what is declared as manifests'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "explain" -d 'Explain a kind, or one of its fields'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "schema" -d 'Print the JSON Schema of a kind, or of whole manifest files'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "history" -d 'List every applied plan, newest first, or show one: who, what, when'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "rollback" -d 'Go back to what an owner had declared after an earlier revision, as a plan'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "rollout" -d 'Rollouts: where they are, and to pause, resume or abort them'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "edge" -d 'Hosts: the daemon that runs on one, and what operators do with many'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "controller" -d 'The controller: run it, and administer it'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c aegis -n "__fish_aegis_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand up" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand up" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand down" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand down" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand status" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand status" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand status" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand doctor" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand doctor" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand run" -l image -d 'The image to take the file system from: a reference, oci:DIR or docker-archive:FILE [default: a small one of Aegis\' own]' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l expose -d 'A port of the guest to reach from here, GUEST or HOST:GUEST; may be repeated; serves until Ctrl-C' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l env -d 'A variable of its environment; K alone takes the value from this one; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l secret -d 'A secret of the workspace that it gets as a variable; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l workspace -d 'The name of a workspace that is kept and mounted as /workspace' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l memory -d 'Its memory, such as 512M or 2G' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l cpus -d 'Its virtual CPUs' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l backend -d 'What runs it: qemu, libkrun or namespaces; the last is no VM [default: the best that works here]' -r -f -a "qemu\t''
libkrun\t''
namespaces\t''"
complete -c aegis -n "__fish_aegis_using_subcommand run" -l timeout -d 'End a task that takes longer, such as 30s or 5m' -r
complete -c aegis -n "__fish_aegis_using_subcommand run" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand run" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand exec" -l env -d 'A variable of its environment; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand exec" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand exec" -s t -l tty -d 'Give it a terminal; what is typed goes there'
complete -c aegis -n "__fish_aegis_using_subcommand exec" -s i -l stdin -d 'Give it this command\'s standard input'
complete -c aegis -n "__fish_aegis_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand exec" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand logs" -l since -d 'Nothing older: a duration, such as 10m, or a time, such as 2026-02-19T10:30:00Z' -r
complete -c aegis -n "__fish_aegis_using_subcommand logs" -l tail -d 'Only the last N lines of what is there' -r
complete -c aegis -n "__fish_aegis_using_subcommand logs" -l source -d 'Only what this wrote' -r -f -a "main\t'The instance\'s own process'
exec\t'Commands of `aegis exec`'
system\t'The guest\'s kernel and harness, and the daemon'"
complete -c aegis -n "__fish_aegis_using_subcommand logs" -s o -l output -d 'As text, or a record a line' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand logs" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand logs" -s f -l follow -d 'Go on with what comes, until Ctrl-C'
complete -c aegis -n "__fish_aegis_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand logs" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "create" -d 'Create an app: an image, a command and the ports to reach'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "publish" -d 'Publish a new release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "serve" -d 'Serve an app from its latest release'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "list" -d 'List the apps of this machine'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "ls" -d 'List the apps of this machine'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "info" -d 'Show an app and its releases'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "logs" -d 'Show what an app\'s instance wrote'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "rollback" -d 'Go back to an earlier release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "delete" -d 'Delete an app with its releases, secrets and instances'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "rm" -d 'Delete an app with its releases, secrets and instances'
complete -c aegis -n "__fish_aegis_using_subcommand app; and not __fish_seen_subcommand_from create publish serve list ls info logs rollback delete rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l name -d 'Its name: the router has it at http://NAME.localhost:8099' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l image -d 'The image to take the file system from: a reference, oci:DIR or docker-archive:FILE' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l kit -d 'The kit to take image, defaults and required secrets from' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l expose -d 'A port of the guest to reach from here, GUEST or HOST:GUEST; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l env -d 'A variable of its environment; K alone takes the value from this one; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l secret -d 'A secret of the workspace that it gets as a variable; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l workspace -d 'The name of a workspace that is kept and mounted as /workspace' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l memory -d 'Its memory, such as 512M or 2G' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l cpus -d 'Its virtual CPUs' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l backend -d 'What runs it: qemu, libkrun or namespaces; the last is no VM [default: the best that works here]' -r -f -a "qemu\t''
libkrun\t''
namespaces\t''"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from publish" -l label -d 'A name for people, such as v1 or staging' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from publish" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from publish" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from publish" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from serve" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from serve" -l detach -d 'Show the address once it is ready, and leave it running'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from serve" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from info" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from info" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from info" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -l since -d 'Nothing older: a duration, such as 10m, or a time, such as 2026-02-19T10:30:00Z' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -l tail -d 'Only the last N lines of what is there' -r
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -l source -d 'Only what this wrote' -r -f -a "main\t'The instance\'s own process'
exec\t'Commands of `aegis exec`'
system\t'The guest\'s kernel and harness, and the daemon'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -s o -l output -d 'As text, or a record a line' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on with what comes, until Ctrl-C'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from logs" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rollback" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rollback" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from delete" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rm" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from rm" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "create" -d 'Create an app: an image, a command and the ports to reach'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Publish a new release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Serve an app from its latest release'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the apps of this machine'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show an app and its releases'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Show what an app\'s instance wrote'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Go back to an earlier release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete an app with its releases, secrets and instances'
complete -c aegis -n "__fish_aegis_using_subcommand app; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "list" -d 'List the active instances'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "ls" -d 'List the active instances'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "info" -d 'Show an instance: its state, and why it is stopped or didn\'t start'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "pause" -d 'Stop the CPUs of an instance; a request wakes it'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "resume" -d 'Let a paused instance go on'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "stop" -d 'End an instance\'s guest; its record and logs stay'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "start" -d 'Boot a stopped instance again'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and not __fish_seen_subcommand_from list ls info pause resume stop start help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from list" -s a -l all -d 'Stopped ones, too'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from ls" -s a -l all -d 'Stopped ones, too'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from info" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from info" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from info" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from pause" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from pause" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from pause" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from resume" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from resume" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from stop" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from stop" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from stop" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from start" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from start" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the active instances'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show an instance: its state, and why it is stopped or didn\'t start'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Stop the CPUs of an instance; a request wakes it'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Let a paused instance go on'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "stop" -d 'End an instance\'s guest; its record and logs stay'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "start" -d 'Boot a stopped instance again'
complete -c aegis -n "__fish_aegis_using_subcommand instance; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -f -a "ls" -d 'List the tasks that are kept'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -f -a "list" -d 'List the tasks that are kept'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -f -a "cancel" -d 'End a task'
complete -c aegis -n "__fish_aegis_using_subcommand task; and not __fish_seen_subcommand_from ls list cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from cancel" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from cancel" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the tasks that are kept'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'End a task'
complete -c aegis -n "__fish_aegis_using_subcommand task; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -f -a "ls" -d 'List the images'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -f -a "list" -d 'List the images'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -f -a "rm" -d 'Remove an image that nothing needs'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -f -a "prune" -d 'Remove all images that no release and no instance needs'
complete -c aegis -n "__fish_aegis_using_subcommand image; and not __fish_seen_subcommand_from ls list rm prune help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from rm" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from rm" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from prune" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from prune" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from prune" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the images'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove an image that nothing needs'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove all images that no release and no instance needs'
complete -c aegis -n "__fish_aegis_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "set" -d 'Set a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "list" -d 'List the names of an app\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "delete" -d 'Delete a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "set-workspace" -d 'Set a secret of the workspace, which all apps get'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "list-workspace" -d 'List the names of the workspace\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "delete-workspace" -d 'Delete a secret of the workspace'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "rotate" -d 'Seal all secrets of this machine with a new key'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and not __fish_seen_subcommand_from set list delete set-workspace list-workspace delete-workspace rotate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set" -l stdin -d 'Read the value from standard input; a newline at its end isn\'t part of it'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set-workspace" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set-workspace" -l stdin -d 'Read the value from standard input; a newline at its end isn\'t part of it'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set-workspace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from set-workspace" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list-workspace" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list-workspace" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list-workspace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from list-workspace" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete-workspace" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete-workspace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from delete-workspace" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "set" -d 'Set a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the names of an app\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "set-workspace" -d 'Set a secret of the workspace, which all apps get'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list-workspace" -d 'List the names of the workspace\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "delete-workspace" -d 'Delete a secret of the workspace'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Seal all secrets of this machine with a new key'
complete -c aegis -n "__fish_aegis_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "install" -d 'Install a kit, or its new version, from a manifest'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "list" -d 'List the installed kits'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "ls" -d 'List the installed kits'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "info" -d 'Show an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "uninstall" -d 'Remove an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and not __fish_seen_subcommand_from install list ls info uninstall help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from install" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from install" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from install" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from list" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from list" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from info" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from info" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from info" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from uninstall" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from uninstall" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from help" -f -a "install" -d 'Install a kit, or its new version, from a manifest'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the installed kits'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from help" -f -a "uninstall" -d 'Remove an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand kit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s f -l filename -d 'A manifest file, a directory of them, or - for standard input; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l owner -d 'Who declares this [default: the name of the manifests\' directory]' -r
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l identity -d 'An age identity file that opens secrets with `valueFrom.age`; may be repeated [default: $AEGIS_AGE_IDENTITY, else ~/.aegis/age.key]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l timeout -d 'Begin nothing new after this time, such as 30s or 2m; exit 8' -r
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s R -l recursive -d 'Read the directories in a directory too'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l prune -d 'Remove what this owner declared before and no longer declares'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l force-conflicts -d 'Take over fields that other owners set'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l dry-run -d 'Show the plan and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s y -l yes -d 'Apply without asking'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -l wait -d 'Wait until connected hosts drain as declared, and the declared rollouts and apps are done, at most --timeout [default: 1m]'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand apply" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -s f -l filename -d 'A manifest file, a directory of them, or - for standard input; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l owner -d 'Who declares this [default: the name of the manifests\' directory]' -r
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l identity -d 'An age identity file that opens secrets with `valueFrom.age`; may be repeated [default: $AEGIS_AGE_IDENTITY, else ~/.aegis/age.key]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand diff" -s o -l output -d 'How to show the plan' -r -f -a "text\t'For people'
json\t'For programs'
yaml\t'For both'
markdown\t'For pull requests'"
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand diff" -s R -l recursive -d 'Read the directories in a directory too'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l prune -d 'Remove what this owner declared before and no longer declares'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l force-conflicts -d 'Show conflicts as taken over'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -l exit-code -d 'Exit 10 when there are differences, 11 when there are conflicts'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand diff" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand validate" -s f -l filename -d 'A manifest file, a directory of them, or - for standard input; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand validate" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand validate" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand validate" -s R -l recursive -d 'Read the directories in a directory too'
complete -c aegis -n "__fish_aegis_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand validate" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand get" -l realm -d 'Where to look [default: for App, Kit and Secret, aegisd on this machine and, where one is set, the controller]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand get" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand get" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand get" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand describe" -l realm -d 'Where to look [default: for App, Kit and Secret, aegisd on this machine and, where one is set, the controller]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand describe" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand describe" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand describe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand describe" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s f -l filename -d 'Delete what these manifests declare: a file, a directory, or -; may be repeated' -r
complete -c aegis -n "__fish_aegis_using_subcommand delete" -l realm -d 'Where to look [default: for App, Kit and Secret, aegisd on this machine and, where one is set, the controller]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand delete" -l timeout -d 'Begin nothing new after this time, such as 30s or 2m; exit 8' -r
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand delete" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s R -l recursive -d 'Read the directories in a directory too'
complete -c aegis -n "__fish_aegis_using_subcommand delete" -l dry-run -d 'Show the plan and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s y -l yes -d 'Apply without asking'
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand delete" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand export" -l realm -d 'Where to look [default: for App, Kit and Secret, aegisd on this machine and, where one is set, the controller]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand export" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand export" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand export" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand explain" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand explain" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand schema" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand schema" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand history" -l limit -d 'At most so many' -r
complete -c aegis -n "__fish_aegis_using_subcommand history" -l owner -d 'Only this owner\'s' -r
complete -c aegis -n "__fish_aegis_using_subcommand history" -l realm -d 'Whose history [default: the controller\'s, or aegisd\'s on this machine when no controller is set]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand history" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand history" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand history" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -l realm -d 'Whose history [default: the controller\'s, or aegisd\'s on this machine when no controller is set]' -r -f -a "local\t'aegisd on this machine'
controller\t'The controller of the context'"
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -l timeout -d 'Begin nothing new after this time, such as 30s or 2m; exit 8' -r
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -l force-conflicts -d 'Take over fields that other owners set since'
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -l dry-run -d 'Show the plan and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -s y -l yes -d 'Apply without asking'
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollback" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "ls" -d 'List the rollouts and where each is'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "status" -d 'Show where a rollout is, host by host'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "pause" -d 'Begin nothing new until it is resumed; what runs goes on'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "resume" -d 'Go on with a rollout that was paused'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "abort" -d 'End a rollout where it is: what runs is cancelled, and nothing is taken back'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and not __fish_seen_subcommand_from ls status pause resume abort help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from status" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from status" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from status" -s w -l watch -d 'Show each change until it is over'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from abort" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from abort" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from abort" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from abort" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the rollouts and where each is'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show where a rollout is, host by host'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Begin nothing new until it is resumed; what runs goes on'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Go on with a rollout that was paused'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "abort" -d 'End a rollout where it is: what runs is cancelled, and nothing is taken back'
complete -c aegis -n "__fish_aegis_using_subcommand rollout; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "enroll" -d 'Make this machine a host of the fleet, with a token from its controller'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "run" -d 'Run the daemon of this host until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "status" -d 'Show this host\'s identity, its connection and what it reports of itself'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "logout" -d 'Take this host out of the fleet: stop its daemon, delete its key and its token'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "ls" -d 'List the hosts of the tenant'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "tag" -d 'Add or remove tags of a host, be it connected or not'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "group" -d 'Saved groups of hosts: a selector with a name, and pinned hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "fleet" -d 'Many hosts at once'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "call" -d 'Call a tool on one host and get its output as it is'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "tools" -d 'What hosts can be asked to do'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "keys" -d 'The keys of hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "token" -d 'The node token of this host'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "drain" -d 'Let a host refuse new work while running work ends'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "shutdown" -d 'Let the daemon of a connected host finish running work and end'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and not __fish_seen_subcommand_from enroll run status logout ls tag group fleet call tools keys token drain shutdown help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l config -d 'The daemon\'s config; its folder keeps the daemon\'s state [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l non-interactive -d 'Fail with exit 4 rather than ask'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l force -d 'Overwrite whatever is there'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l keep-existing -d 'Reuse whatever is there; exit 4 where that would be unsafe'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l dry-run -d 'Show what would be done; touch neither disk nor network'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l minimal -d 'Write the short config template instead of the annotated one'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -l no-service -d 'Install no service unit'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from enroll" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from run" -l config -d 'The daemon\'s config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from run" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from status" -l config -d 'The daemon\'s config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from status" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from status" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -l config -d 'The daemon\'s config [default: $AEGIS_CONFIG, else ~/.aegis/edge/aegis-config.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -l purge -d 'Remove everything of the daemon\'s folder'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from logout" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -l tag -d 'Only hosts with this tag; may be repeated, all must be there' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -l label -d 'Only hosts with this label; may be repeated, all must be there' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -l connected -d 'Only connected hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -f -a "add" -d 'Add tags'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -f -a "rm" -d 'Remove tags'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tag" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -f -a "ls" -d 'List the groups'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -f -a "create" -d 'Create a group'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -f -a "set-pinned" -d 'Pin hosts to a group, or unpin them, whatever its selector says'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -f -a "rm" -d 'Remove a group; its hosts stay as they are'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from group" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "preview" -d 'Show which hosts a target resolves to, and which it skips and why'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "run" -d 'Run a tool on many hosts, and see what each does as it happens'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "cancel" -d 'Cancel a run: hosts that haven\'t begun won\'t, and what runs is ended'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "runs" -d 'List runs, newest first'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "show" -d 'Show a run: what was asked for, how each host ended, and the end of what it printed'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "keys" -d 'The keys of many hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from fleet" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l tool -d 'The tool, such as cmd.run; `aegis edge tools ls` lists them' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l arg -d 'An argument of the tool; may be repeated, also for each entry of a list' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l args-json -d 'All arguments as a JSON object; - reads it from standard input, so that it stands in no process list' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l target -d 'The host, such as @web-1; any target expression will do [default: the one connected host]' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l deadline -d 'How long it may take, such as 30s or 2m [default: the tool\'s own, else 60s]' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l security-context -d 'The security context that must grant the tool [default: default]' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from call" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -f -a "ls" -d 'List the tools: those that are built in, or those of a host'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -f -a "show" -d 'Show a tool and its arguments'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from tools" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Give this host another key, and a token for it'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -f -a "revoke-remote" -d 'Revoke a host: its token is refused from now on and its stream is closed'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from keys" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from token" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from token" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from token" -f -a "refresh" -d 'Get another node token for this host, for the key that it has'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from token" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -l off -d 'Take new work again'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -l dry-run -d 'Show what would be done and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from drain" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -l reason -d 'Why, for the host\'s log and the audit log' -r
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -s o -l output -d 'How to show the result; times are RFC 3339 in UTC' -r -f -a "table\t'For people'
json\t'For programs'
yaml\t'For both'"
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -l dry-run -d 'Show what would be done and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from shutdown" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "enroll" -d 'Make this machine a host of the fleet, with a token from its controller'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run the daemon of this host until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show this host\'s identity, its connection and what it reports of itself'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "logout" -d 'Take this host out of the fleet: stop its daemon, delete its key and its token'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the hosts of the tenant'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "tag" -d 'Add or remove tags of a host, be it connected or not'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "group" -d 'Saved groups of hosts: a selector with a name, and pinned hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "fleet" -d 'Many hosts at once'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "call" -d 'Call a tool on one host and get its output as it is'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "tools" -d 'What hosts can be asked to do'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "keys" -d 'The keys of hosts'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "token" -d 'The node token of this host'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "drain" -d 'Let a host refuse new work while running work ends'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "shutdown" -d 'Let the daemon of a connected host finish running work and end'
complete -c aegis -n "__fish_aegis_using_subcommand edge; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "run" -d 'Run the controller until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "enrollment-token" -d 'Tokens with which hosts enrol'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "token" -d 'Tokens with which people and pipelines call the controller'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "tenant" -d 'Tenants: each sees only its own hosts and objects'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "audit" -d 'The append-only, hash-chained log of who did what'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "backup" -d 'Save everything that the running controller has into one file'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "restore" -d 'Make a data directory out of a backup'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and not __fish_seen_subcommand_from run enrollment-token token tenant audit backup restore help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -l data-dir -d 'Where everything is kept; made if it isn\'t there' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -l listen -d 'Where to listen; port 0 takes a free one [default: 0.0.0.0:50056]' -r
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -l public-endpoint -d 'How daemons and operators reach it; needed for enrolment tokens when listening on all addresses' -r
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -l config -d 'A config file; flags win over it' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from enrollment-token" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from enrollment-token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from enrollment-token" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from enrollment-token" -f -a "create" -d 'Make a token: good for one host, for at most 15 minutes'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from enrollment-token" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from token" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from token" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from token" -f -a "create" -d 'Make a user token, to be set as AEGIS_USER_TOKEN'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from token" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -f -a "create" -d 'Create a tenant'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -f -a "ls" -d 'List the tenants that the caller may see'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from tenant" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -f -a "ls" -d 'List events, oldest first'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Check the whole chain; exit 1 when an event was altered, removed or reordered'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from audit" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from backup" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from backup" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from restore" -l data-dir -d 'The directory to make; it must be empty or not there' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from restore" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from restore" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run the controller until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "enrollment-token" -d 'Tokens with which hosts enrol'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "token" -d 'Tokens with which people and pipelines call the controller'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "tenant" -d 'Tenants: each sees only its own hosts and objects'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "audit" -d 'The append-only, hash-chained log of who did what'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "backup" -d 'Save everything that the running controller has into one file'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "restore" -d 'Make a data directory out of a backup'
complete -c aegis -n "__fish_aegis_using_subcommand controller; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand completions" -l context -d 'The file that says which controller to ask [default: $AEGIS_CONTEXT, else ~/.aegis/context.yaml]' -r -F
complete -c aegis -n "__fish_aegis_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aegis -n "__fish_aegis_using_subcommand completions" -s V -l version -d 'Print version'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "up" -d 'Start the daemon aegisd'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "down" -d 'Stop the daemon aegisd'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "status" -d 'Show whether aegisd runs, and by what it runs guests'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "doctor" -d 'Diagnose this machine: what guests need, what is there, and the command that brings what is missing'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "run" -d 'Run a command in a guest of its own'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "exec" -d 'Run a command in a running instance'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "logs" -d 'Show what an app\'s instance wrote'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "app" -d 'Apps: packaged workloads with releases, on this machine'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "instance" -d 'Instances: the guests of this machine'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "task" -d 'Tasks: commands that ran, or run, in a guest of their own'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "image" -d 'Images: what was pulled and is kept on this machine'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "secret" -d 'Secrets of an app, or of all apps on this machine'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "kit" -d 'Kits: an image with defaults and required secrets, for apps to name'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "apply" -d 'Make the fleet as the manifests say'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "diff" -d 'Show what apply would do, and change nothing'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "validate" -d 'Check manifests without asking anybody'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "get" -d 'List the declared objects of a kind, or show one'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "describe" -d 'Show all there is to know of an object: what is declared, by whom, and what is seen'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "delete" -d 'Delete objects, whoever owns them'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "export" -d 'Print what is declared as manifests'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "explain" -d 'Explain a kind, or one of its fields'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "schema" -d 'Print the JSON Schema of a kind, or of whole manifest files'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "history" -d 'List every applied plan, newest first, or show one: who, what, when'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "rollback" -d 'Go back to what an owner had declared after an earlier revision, as a plan'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "rollout" -d 'Rollouts: where they are, and to pause, resume or abort them'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "edge" -d 'Hosts: the daemon that runs on one, and what operators do with many'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "controller" -d 'The controller: run it, and administer it'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c aegis -n "__fish_aegis_using_subcommand help; and not __fish_seen_subcommand_from up down status doctor run exec logs app instance task image secret kit apply diff validate get describe delete export explain schema history rollback rollout edge controller completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "create" -d 'Create an app: an image, a command and the ports to reach'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "publish" -d 'Publish a new release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "serve" -d 'Serve an app from its latest release'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "list" -d 'List the apps of this machine'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "info" -d 'Show an app and its releases'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "logs" -d 'Show what an app\'s instance wrote'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "rollback" -d 'Go back to an earlier release of an app'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from app" -f -a "delete" -d 'Delete an app with its releases, secrets and instances'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "list" -d 'List the active instances'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "info" -d 'Show an instance: its state, and why it is stopped or didn\'t start'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "pause" -d 'Stop the CPUs of an instance; a request wakes it'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "resume" -d 'Let a paused instance go on'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "stop" -d 'End an instance\'s guest; its record and logs stay'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from instance" -f -a "start" -d 'Boot a stopped instance again'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "ls" -d 'List the tasks that are kept'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from task" -f -a "cancel" -d 'End a task'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "ls" -d 'List the images'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "rm" -d 'Remove an image that nothing needs'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "prune" -d 'Remove all images that no release and no instance needs'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "set" -d 'Set a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list" -d 'List the names of an app\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "delete" -d 'Delete a secret of an app'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "set-workspace" -d 'Set a secret of the workspace, which all apps get'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list-workspace" -d 'List the names of the workspace\'s secrets; values are never shown'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "delete-workspace" -d 'Delete a secret of the workspace'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "rotate" -d 'Seal all secrets of this machine with a new key'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from kit" -f -a "install" -d 'Install a kit, or its new version, from a manifest'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from kit" -f -a "list" -d 'List the installed kits'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from kit" -f -a "info" -d 'Show an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from kit" -f -a "uninstall" -d 'Remove an installed kit'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from rollout" -f -a "ls" -d 'List the rollouts and where each is'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from rollout" -f -a "status" -d 'Show where a rollout is, host by host'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from rollout" -f -a "pause" -d 'Begin nothing new until it is resumed; what runs goes on'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from rollout" -f -a "resume" -d 'Go on with a rollout that was paused'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from rollout" -f -a "abort" -d 'End a rollout where it is: what runs is cancelled, and nothing is taken back'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "enroll" -d 'Make this machine a host of the fleet, with a token from its controller'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "run" -d 'Run the daemon of this host until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "status" -d 'Show this host\'s identity, its connection and what it reports of itself'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "logout" -d 'Take this host out of the fleet: stop its daemon, delete its key and its token'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "ls" -d 'List the hosts of the tenant'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "tag" -d 'Add or remove tags of a host, be it connected or not'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "group" -d 'Saved groups of hosts: a selector with a name, and pinned hosts'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "fleet" -d 'Many hosts at once'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "call" -d 'Call a tool on one host and get its output as it is'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "tools" -d 'What hosts can be asked to do'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "keys" -d 'The keys of hosts'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "token" -d 'The node token of this host'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "drain" -d 'Let a host refuse new work while running work ends'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from edge" -f -a "shutdown" -d 'Let the daemon of a connected host finish running work and end'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "run" -d 'Run the controller until it is told to end'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "enrollment-token" -d 'Tokens with which hosts enrol'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "token" -d 'Tokens with which people and pipelines call the controller'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "tenant" -d 'Tenants: each sees only its own hosts and objects'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "audit" -d 'The append-only, hash-chained log of who did what'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "backup" -d 'Save everything that the running controller has into one file'
complete -c aegis -n "__fish_aegis_using_subcommand help; and __fish_seen_subcommand_from controller" -f -a "restore" -d 'Make a data directory out of a backup'
