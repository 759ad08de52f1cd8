from r1lab.main import main

main()
